"""algorithm/motion.py: both parts of the training against recorded losses, and that each has its own optimizer."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from powerqe.algorithm.motion import MotionCompensated
from powerqe.algorithm.phase import Setting
from powerqe.net import build_network
from powerqe.utils.errors import UserError
from powerqe.utils.options.components import build, validate_component

CPU = torch.device("cpu")


def make(niter: int = 8, network: nn.Module | None = None, **options: Any) -> MotionCompensated:
    torch.manual_seed(0)
    spec = validate_component("algorithm", {"type": "MotionCompensated", **options})
    return build(spec, network or build_network({"type": "MFQE"}), Setting(niter, CPU, lambda network: network))


def batch(seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    clip, gt = torch.rand(2, 3, 1, 12, 16, generator=generator), torch.rand(2, 1, 12, 16, generator=generator)
    return {"lq": clip, "gt": gt}


def run(algorithm: MotionCompensated, step: int) -> dict[str, Tensor]:
    (phase,) = algorithm.phases(step)
    loss = phase.loss(batch())
    phase.optimizer.zero_grad()
    loss.total.backward()
    phase.optimizer.step()
    return loss.parts


def test_the_losses_of_both_parts():
    algorithm = make(loss={"L1": {}})
    data = batch()
    enhanced, before, after = algorithm.networks["net"](data["lq"], return_compensated=True)
    frame = data["lq"][:, 1]
    motion, quality = F.l1_loss(before, frame) + F.l1_loss(after, frame), F.l1_loss(enhanced, data["gt"])
    first, second = algorithm.motion_step(data), algorithm.quality_step(data)
    torch.testing.assert_close(first.total, motion + 0.01 * quality)
    torch.testing.assert_close(second.total, 0.01 * motion + quality)
    for loss in (first, second):
        assert set(loss.parts) == {"L1", "motion L1"}
        torch.testing.assert_close(loss.parts["L1"], quality)
        torch.testing.assert_close(loss.parts["motion L1"], motion)


@pytest.mark.parametrize(("share", "names"), [(0.25, "mmqqqqqq"), (0, "qqqqqqqq"), (1, "mmmmmmmm")])
def test_the_first_part_has_its_share_of_the_training(share, names):
    algorithm = make(motion_share=share)
    assert "".join(algorithm.phases(step)[0].name[0] for step in range(8)) == names


def test_each_part_has_an_optimizer_of_its_own():
    algorithm = make()
    motion, quality = (algorithm.optimizers[name] for name in ("motion", "quality"))
    run(algorithm, 0)
    assert motion.state
    assert not quality.state
    run(algorithm, 7)
    assert {id(p) for p in motion.state} == {id(p) for p in quality.state}
    assert all(state["step"] == 1 for optimizer in (motion, quality) for state in optimizer.state.values())


def test_the_motion_is_learnt_from_the_compressed_frames():
    """Two frames of one image, shifted by a pixel: the first part lowers what is left between them."""
    torch.manual_seed(1)
    image = F.interpolate(torch.rand(1, 1, 8, 9), (32, 36), mode="bicubic", align_corners=False)
    clip = torch.stack([image[..., 2:34], image[..., 1:33], image[..., 0:32]], dim=1)
    network = build_network({"type": "MFQE", "border": "replicate"})
    algorithm = make(niter=40, network=network, motion_share=1, optimizer={"type": "Adam", "lr": 1e-3})
    losses = []
    for step in range(40):
        (phase,) = algorithm.phases(step)
        loss = phase.loss({"lq": clip, "gt": clip[:, 1]})
        phase.optimizer.zero_grad()
        loss.total.backward()
        phase.optimizer.step()
        losses.append(loss.parts["motion MSE"].item())
    assert losses[-1] < 0.5 * losses[0]


def test_another_network_is_refused():
    with pytest.raises(UserError, match=r"MotionCompensated.*MFQE.*ARCNN"):
        make(network=build_network({"type": "ARCNN"}))
