import torch

from powerqe.algorithm.progress import Progress
from powerqe.utils.ranks import Ranks

ALONE = Ranks(0, 0, 1, torch.device("cpu"))


def test_each_loss_is_averaged_over_the_batches_that_had_it():
    """A step of a GAN has two phases with losses of their own; CISR-PSI has the same ones in each recursion."""
    progress = Progress(10)
    progress.start_clock()
    for value in (1.0, 3.0):
        progress.add_losses({"L1": torch.tensor(value)})
        progress.add_losses({"discriminator": torch.tensor(10 * value)})
        progress.add_step(0.0)
    other = Progress(10)
    other.load_state(progress.state(), ALONE.device)
    other.start_clock()
    other.add_losses({"L1": torch.tensor(8.0)})
    other.add_step(0.0)
    assert other.report(3, {"net": 1e-3}, ALONE) == {"L1": 4.0, "discriminator": 20.0}
    assert progress.report(2, {"net": 1e-3}, ALONE) == {"L1": 2.0, "discriminator": 20.0}
    progress.add_step(0.0)
    assert progress.report(4, {"net": 1e-3}, ALONE) == {}
