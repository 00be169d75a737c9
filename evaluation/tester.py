"""Testing: weights in, enhanced images and one result table out."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import Subset

from powerqe.dataset import build_dataset
from powerqe.dataset.loader import Batch
from powerqe.evaluation.crops import Crops
from powerqe.evaluation.evaluate import Metrics, Record, evaluate
from powerqe.evaluation.partial_results import partial_path, write_partial
from powerqe.evaluation.provenance import facts_of
from powerqe.evaluation.result_table import Table, write_tables
from powerqe.evaluation.video_results import VideoReport
from powerqe.evaluation.video_tester import ByPeak, test_videos
from powerqe.inference.load import find_network
from powerqe.inference.precision import choose_precision, prepared
from powerqe.inference.tiled import enhancer
from powerqe.net.networks import full_spec
from powerqe.net.ops.dcn import force_backend
from powerqe.net.weights import find, spec
from powerqe.utils.errors import UserError
from powerqe.utils.file_lock import claimed
from powerqe.utils.file_names import file_name
from powerqe.utils.image.io import write_image
from powerqe.utils.image.tensors import to_image
from powerqe.utils.log import logger
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.options.tree import Options
from powerqe.utils.ranks import Ranks
from powerqe.utils.shards import WHOLE, Shard


def test(options: Options, ranks: Ranks, shard: Shard = WHOLE) -> Table | VideoReport:  # noqa: PT028 - no pytest
    """Enhance every image of the test sets once, score it, save images and tables in the experiment's folder.

    Files: test_im_enhanced/<set>/<image>.png (option test.if_save_im), results.csv / .json / .md / .tex, and
    crops.png (crops of the first images: compressed | enhanced | original). For videos see evaluation/video_tester.py.
    Of a shard of the images or videos, in place of tables and crops: see evaluation/partial_results.py.

    Raises:
        UserError: no test set, missing or unfitting weights, anything wrong with the data, or another process tests
            the experiment.
    """
    if not options.dataset.test:
        raise UserError(f"{options.name}: testing needs the option dataset.test")
    sets = {name: build_dataset(spec, f"dataset.test.{name}") for name, spec in options.dataset.test.items()}
    if _are_videos(sets, options):
        return _test_videos(options, ranks, sets, shard)
    network = trained_network(options, ranks.device)
    metrics = Metrics(options.test.criterion)
    crops = Crops(metrics)
    numbers = {name: (range(shard.index, len(each), shard.count), len(each)) for name, each in sets.items()}
    with _claimed(options, ranks, shard):
        records = {
            name: evaluate(
                dataset if shard.count == 1 else Subset(cast(Any, dataset), numbers[name][0]),
                metrics,
                ranks,
                enhancer(network, options.test),
                on_result=_saver(options, name, crops),
                title=name,
            )
            for name, dataset in sets.items()
        }
        table = Table(
            _title(options),
            records,
            metrics,
            facts_of(options, ranks.device, network, {"all": tested_weights(options)}),
        )
        if ranks.is_main and shard.count > 1:
            write_partial(options, shard, table, numbers)
        elif ranks.is_main:
            write_tables(table, options.folder)
            crops.save(options.folder / "crops.png")
    return table


def trained_network(options: Options, device: torch.device, weights: Path | None = None) -> nn.Module:
    """The experiment's network, ready to be applied.

    Args:
        weights: by default those of test.ckp_load_path, or its best.

    Raises:
        UserError: missing or unfitting weights.
    """
    if device.type == "cpu":
        keep_freed_memory()
    force_backend(options.dcn)
    weights = weights or tested_weights(options)
    source = find_network(weights, options.network)
    network = prepared(source.build(device), choose_precision(options.test.precision, device, source.card))
    logger.info(f"testing {weights} ({sum(p.numel() for p in network.parameters()):,} parameters)")
    return network


def tested_as(weights: str) -> list[str]:
    """Option overrides (as for --set) that test weights with the network recorded in or recognized from their file.

    Raises:
        UserError: no such weights, or their network is unknown.
    """
    path = find(weights)
    return [f"network={json.dumps(full_spec(spec(path)))}", f"test.ckp_load_path={json.dumps(str(path))}"]


def tested_weights(options: Options) -> Path:
    """The file whose weights are tested: test.ckp_load_path, the best of the training, or what the network is made of
    (Spandrel), if it was not trained.

    Raises:
        UserError: test.ckp_load_path is neither a file nor a name of published weights.
    """
    best = options.folder / "ckp-best.pt"
    made_of = None if best.is_file() else options.network.arguments.get("path")
    return find(options.test.ckp_load_path or made_of or best)


def _are_videos(sets: dict[str, Any], options: Options) -> bool:
    videos = [name for name, dataset in sets.items() if hasattr(dataset, "sequences")]
    if videos and len(videos) < len(sets):
        images = [name for name in sets if name not in videos]
        raise UserError(
            f"dataset.test: {', '.join(videos)} of videos and {', '.join(images)} of images have different tables; "
            "test them in two cases"
        )
    if not videos and options.test.peaks_ckp_load_path:
        raise UserError("test.peaks_ckp_load_path: only videos have PQFs; leave it out")
    return bool(videos)


def _test_videos(options: Options, ranks: Ranks, sets: dict[str, Any], shard: Shard) -> VideoReport:
    network = trained_network(options, ranks.device)
    enhance, weights = ByPeak(enhancer(network, options.test)), {"all": tested_weights(options)}
    if options.test.peaks_ckp_load_path:
        weights = {"others": weights["all"], "peaks": find(options.test.peaks_ckp_load_path)}
        peaks = trained_network(options, ranks.device, weights["peaks"])
        enhance = ByPeak(enhancer(network, options.test), enhancer(peaks, options.test))
    with _claimed(options, ranks, shard):
        return test_videos(options, ranks, sets, enhance, facts_of(options, ranks.device, network, weights), shard)


def _claimed(options: Options, ranks: Ranks, shard: Shard) -> AbstractContextManager[None]:
    """No other process tests the experiment, or this shard, meanwhile; a training may go on."""
    advice = "wait for it, or use another name (--set name=NEW)"
    folder = options.folder if shard.count == 1 else partial_path(options, shard)
    return claimed(folder, "tested", advice) if ranks.is_main else nullcontext()


def _title(options: Options) -> str:
    """The name of the experiment, and whether results are in agreement with the JPEG files."""
    return options.name if options.test.consistency == "off" else f"{options.name} + QCS"


class _Names:
    """Names of the images that were saved."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, folder: str, label: str) -> str:
        """The path of an image; of two with one label (a and a-qf10 at QF 10) the second one is numbered."""
        suffixes = (".png", *(f"-{number}.png" for number in range(2, len(self._taken) + 3)))
        paths = (f"{folder}/{file_name(label, suffix)}" for suffix in suffixes)
        path = next(path for path in paths if path.casefold() not in self._taken)
        self._taken.add(path.casefold())
        return path


def _saver(options: Options, set_name: str, crops: Crops) -> Callable[[Record, Batch, Tensor], None]:
    names = _Names()

    def save(record: Record, batch: Batch, result: Tensor) -> None:
        crops.add(record, batch, result)
        if options.test.if_save_im:
            record.enhanced = names.free(f"test_im_enhanced/{file_name(set_name)}", record.label)
            write_image(options.folder / record.enhanced, to_image(result[0]))

    return save
