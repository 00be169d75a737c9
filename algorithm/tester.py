"""Testing: weights in, enhanced images and one result table out."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from algorithm.crops import Crops
from algorithm.evaluate import Metrics, Record, evaluate
from algorithm.inference import enhancer
from algorithm.phase import Batch
from algorithm.tables import Table, write_tables
from dataset import build_dataset
from net import load_weights
from net.ops.dcn import force_backend
from utils.components import build
from utils.errors import UserError
from utils.image_io import write_image
from utils.log import logger
from utils.memory import keep_freed_memory
from utils.options import Options
from utils.ranks import Ranks
from utils.tensors import to_image


def test(options: Options, ranks: Ranks) -> Table:
    """Enhance every image of the test sets once, score it, save pictures and tables in the experiment's folder.

    Files: test_im_enhanced/<set>/<image>.png (option test.if_save_im), results.csv / .json / .md / .tex, and
    crops.png, where the first images are seen before | after | original.

    Raises:
        UserError: no test set, missing or unfitting weights, or anything wrong with the data.
    """
    if not options.dataset.test:
        raise UserError(f"{options.name}: testing needs the option dataset.test")
    network = trained_network(options, ranks.device)
    sets = {name: build_dataset(spec, f"dataset.test.{name}") for name, spec in options.dataset.test.items()}
    metrics = Metrics(options.test.criterion)
    crops = Crops(metrics)
    records = {
        name: evaluate(
            dataset,
            metrics,
            ranks,
            enhancer(network, options.test),
            on_result=_saver(options.folder / "test_im_enhanced" / name if options.test.if_save_im else None, crops),
            title=name,
        )
        for name, dataset in sets.items()
    }
    table = Table(options.name, records, metrics)
    if ranks.is_main:
        write_tables(table, options.folder)
        crops.save(options.folder / "crops.png")
    return table


def trained_network(options: Options, device: torch.device) -> nn.Module:
    """The experiment's network with the weights of test.ckp_load_path, or its best, ready to be applied.

    Raises:
        UserError: missing or unfitting weights.
    """
    if device.type == "cpu":
        keep_freed_memory()
    force_backend(options.dcn)
    network = build(options.network)
    weights = Path(options.test.ckp_load_path or options.folder / "ckp-best.pt")
    load_weights(network, weights)
    logger.info(f"testing {weights} ({sum(p.numel() for p in network.parameters()):,} parameters)")
    return network.to(device).eval()


def _saver(folder: Path | None, crops: Crops) -> Callable[[Record, Batch, Tensor], None]:
    def save(record: Record, batch: Batch, result: Tensor) -> None:
        crops.add(record, batch, result)
        if folder:
            write_image(folder / f"{record.label}.png", to_image(result[0]))

    return save
