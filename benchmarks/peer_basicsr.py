"""BasicSR's side of the measurements; the only file that imports it. bench_data.py and bench_train.py start it.

    python peer_basicsr.py JOB OPTIONS(JSON)

runs with the Python of BasicSR's own environment, so it needs nothing of PowerQE. The work is done by
BasicSR's code as it is installed; this file gives it its options, starts each part and takes the
time. A line `TASK COUNT` on the standard input is an order, answered by a line of JSON on the standard
output; everything that BasicSR itself prints goes to the standard error.
"""

# pyright: reportMissingImports=false

import json
import os
import random
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _mend_torchvision()
    job, options = sys.argv[1], json.loads(sys.argv[2])
    import cv2
    import torch

    torch.set_num_threads(options["threads"])
    cv2.setNumThreads(options["threads"])
    {"lmdb": make_stores, "data": load, "train": train}[job](options, Orders(answers))


def _mend_torchvision() -> None:
    """BasicSR 1.4.2 imports a private module that torchvision removed; give it the function that it wants."""
    import torchvision.transforms.functional as functional

    module: Any = types.ModuleType("torchvision.transforms.functional_tensor")
    module.rgb_to_grayscale = functional.rgb_to_grayscale
    sys.modules[module.__name__] = module


class Orders:
    """The orders of the program that started this one."""

    def __init__(self, answers: Any) -> None:
        self._answers = answers

    def ready(self, **about: Any) -> None:
        """Report that everything is set up."""
        import basicsr
        import cv2
        import numpy
        import torch

        self._send(
            basicsr=basicsr.__version__,
            python=sys.version.split()[0],
            torch=str(torch.__version__),
            numpy=numpy.__version__,
            opencv=cv2.__version__,
            **about,
        )

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Yield (task, count). The time until the next request is that order's."""
        for line in sys.stdin:
            task, count = line.split()
            wall, cpu = time.perf_counter(), time.process_time()
            yield task, int(count)
            self._send(count=int(count), wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)

    def _send(self, **values: Any) -> None:
        print(json.dumps(values), file=self._answers, flush=True)


def make_stores(options: dict[str, Any], orders: Orders) -> None:
    """Make LMDBs of folders of PNG files with BasicSR's tool and its default compression."""
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    for folder, store in zip(options["folders"], options["stores"], strict=True):
        names = sorted(path.name for path in Path(folder).iterdir())
        make_lmdb_from_imgs(folder, store, names, [name.removesuffix(".png") for name in names])
    orders.ready()


def _dataset_options(options: dict[str, Any]) -> dict[str, Any]:
    gt, lq = options["stores"]
    return {
        "name": "benchmark",
        "type": "PairedImageDataset",
        "dataroot_gt": gt,
        "dataroot_lq": lq,
        "io_backend": {"type": "lmdb"},
        "gt_size": options["patch"],
        "use_hflip": True,
        "use_rot": True,
        "num_worker_per_gpu": 0,
        "batch_size_per_gpu": options["batch"],
        "dataset_enlarge_ratio": options["enlarge"],
        "prefetch_mode": None,
    }


def load(options: dict[str, Any], orders: Orders) -> None:
    """`samples`: the items of PairedImageDataset in random order. `batches`: those of BasicSR's loader."""
    from basicsr.data import build_dataloader, build_dataset
    from basicsr.data.data_sampler import EnlargedSampler
    from basicsr.data.prefetch_dataloader import CPUPrefetcher

    dataset_options = {**_dataset_options(options), "phase": "train", "scale": 1}
    dataset = build_dataset(dataset_options)
    sampler = EnlargedSampler(dataset, 1, 0, options["enlarge"])
    batches = CPUPrefetcher(build_dataloader(dataset, dataset_options, num_gpu=0, sampler=sampler, seed=7))
    orders.ready()
    for task, count in orders:
        for _ in range(count):
            if task == "samples":
                dataset[random.randrange(len(dataset))]
            else:
                batches.next()


def train(options: dict[str, Any], orders: Orders) -> None:
    """`steps`: iterations of basicsr.train.train_pipeline with SRModel and the network, plain `-opt FILE`."""
    from basicsr.archs import ARCH_REGISTRY
    from basicsr.models import MODEL_REGISTRY
    from basicsr.models.sr_model import SRModel
    from basicsr.train import train_pipeline
    from torch import nn

    @ARCH_REGISTRY.register()
    class ARCNN(nn.Sequential):
        """AR-CNN of PowerQE v1: 9x9, 1x1, 5x5."""

        def __init__(self) -> None:
            super().__init__(
                nn.Conv2d(3, 64, 9, padding=4),
                nn.ReLU(inplace=True),
                nn.Conv2d(64, 32, 1),
                nn.ReLU(inplace=True),
                nn.Conv2d(32, 3, 5, padding=2),
            )

    @ARCH_REGISTRY.register()
    class Enhancer(nn.Module):
        """The image of a network of PowerQE, which this environment must be able to run, too."""

        def __init__(self, spec: dict[str, Any]) -> None:
            sys.path.append(str(Path(__file__).resolve().parents[1]))
            from powerqe.net import build_network

            super().__init__()
            self.network = build_network(spec)

        def forward(self, image: Any) -> Any:
            output = self.network(image)
            return output[0] if isinstance(output, tuple) else output

    @MODEL_REGISTRY.register()
    class SteppedModel(SRModel):
        """SRModel that does as many training steps as were ordered, then waits for the next order."""

        def __init__(self, opt: dict[str, Any]) -> None:
            super().__init__(opt)
            orders.ready(parameters=sum(p.numel() for p in self.net_g.parameters()))
            self._orders = iter(orders)
            self._left = 1  # the first step is not ordered: it sets up memory

        def optimize_parameters(self, current_iter: int) -> None:
            super().optimize_parameters(current_iter)
            self._left -= 1
            if not self._left:  # an order lasts from the end of a step to the end of its last step
                order = next(self._orders, None)
                if order is None:
                    sys.exit()
                self._left = order[1]

    file = Path("peer.yml")
    file.write_text(json.dumps(_training_options(options)), encoding="utf-8")  # JSON is YAML too
    sys.argv = ["train.py", "-opt", str(file)]
    train_pipeline(str(Path.cwd()))


def _training_options(options: dict[str, Any]) -> dict[str, Any]:
    network = options["network"]
    return {
        "name": f"{network['type'].lower()}-{options['batch']}x{options['patch']}",
        "model_type": "SteppedModel",
        "scale": 1,
        "num_gpu": options["gpus"],
        "manual_seed": 7,
        "datasets": {"train": _dataset_options(options)},
        "network_g": network if network == {"type": "ARCNN"} else {"type": "Enhancer", "spec": network},
        "path": {},
        "train": {
            "optim_g": {"type": "Adam", "lr": 0.0001},
            "scheduler": {"type": "MultiStepLR", "milestones": [10**9]},
            "total_iter": 10**9,
            "pixel_opt": {"type": "MSELoss", "loss_weight": 1.0, "reduction": "mean"},
        },
        "logger": {"print_freq": 100, "save_checkpoint_freq": 10**9, "use_tb_logger": False},
    }


if __name__ == "__main__":
    main()
