"""Publish the weights of an experiment, with an index entry that states their training and their scores.

Writes weights/<experiment>.safetensors (the best checkpoint, its moving average if it has one, without the state of the
training), weights/index.json, by which the weights are found under the experiment's name, and their card
weights/<experiment>.md. Train and test the experiment before.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from powerqe.evaluation.purpose import main_source, purpose_of
from powerqe.evaluation.results import FILE, Average, Results, read_results
from powerqe.inference.load import find_network
from powerqe.net import save_weights
from powerqe.net.weights import Entry, Figure, Training, index
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.files import sha256_of
from powerqe.utils.options.tree import Options

FOLDER = Path("weights")
LICENSE = "Apache-2.0"


def publish(options: Options, arguments: str, url: str | None = None, *, half: bool = False) -> Path:
    """Write weights, index and card; returns the path of the weights.

    Args:
        options: of the experiment.
        arguments: of `powerqe train` and `powerqe test`, for the card.
        url: from which `powerqe weights fetch` gets the file where it is not.
        half: store float16, half the bytes. The figures stay those of the test, of the checkpoint in float32.

    Raises:
        UserError: the experiment has not been trained or not been tested, or the index is damaged.
    """
    checkpoint = options.folder / "ckp-best.pt"
    state, results = load_checkpoint(checkpoint, {"iter": int, "options": dict}), _results(options.folder)
    network = find_network(checkpoint, options.network).build()
    path = FOLDER / f"{options.name}.safetensors"
    spec = options.to_dict()["network"]  # as tested; training may use other arguments
    save_weights(network.half() if half else network, path, {"network": json.dumps(spec)})
    entry = Entry(
        **purpose_of(state["options"]).model_dump(),
        name=options.name,
        method=spec["type"],
        parameters=sum(p.numel() for p in network.parameters()),
        network=spec,
        training=_training(state, arguments),
        figures=tuple(figures_of(results)),
        file=path.name,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        license=LICENSE,
        url=url,
    )
    index.publish(entry, FOLDER)
    return path


def _results(folder: Path) -> Results:
    if not (folder / FILE).is_file():
        raise UserError(f"no {folder / FILE}: run `powerqe test` on this experiment first; the card lists its scores")
    return read_results(folder)[0]


def _training(state: dict[str, Any], arguments: str) -> Training:
    data, train = state["options"]["dataset"], state["options"]["train"]
    return Training(
        data=_images(data["train"]),
        validation=_images(data["val"]),
        iterations=state["iter"],
        planned=train["niter"],
        samples=state["samples"],
        patch=main_source(data["train"])["patch"],
        best=state["best"]["iters"][0],
        start=(train.get("warm_start") or {}).get("ckp_load_path"),
        torch=state["versions"]["torch"],
        arguments=arguments,
    )


def _images(data: dict[str, Any]) -> str:
    """The folder of a data set's images, and the range used; of a mixture, those of all sources with their weights."""
    if "sources" in data:
        return ", ".join(f"{_images(source)} (weight {source['weight']:g})" for source in data["sources"].values())
    used = data.get("slice")
    return f"{data['gt']}" + (f" {used[0]} to {used[1] - 1}" if used else "")


def figures_of(results: Results) -> Iterator[Figure]:
    """The mean scores of a test, without missing values and without the speed, which depends on the machine."""
    for average in results.averages:
        yield from (
            Figure(
                set=average.set,
                quality=average.group or "-",
                over=average.over if results.videos else "",
                count=average.count,
                **values,
            )
            for values in (*_scores(results, average), *_fluctuation(results, average), *_estimates(average))
            if not {"before", "after", "gain"}.isdisjoint(values)
        )


def _scores(results: Results, average: Average) -> Iterator[dict[str, Any]]:
    for name, metric in results.metrics.items():
        parts = _known(before=average.baseline.get(name), after=average.result.get(name), gain=average.gain(name))
        yield {"metric": name, "unit": metric.unit, "convention": metric.convention, **parts}


def _fluctuation(results: Results, average: Average) -> Iterator[dict[str, Any]]:
    found, main = average.fluctuation, results.fluctuating
    if found and main:
        yield {"metric": "SD", "unit": "dB", **_known(before=found["sd_lq"], after=found["sd"])}
        yield {"metric": "PVD", "unit": "dB", **_known(before=found["pvd_lq"], after=found["pvd"])}
        yield {"metric": "PVD at lq's peaks", "unit": "dB", **_known(after=found["pvd_at_lq"])}
        yield {"metric": f"{main.name} of PQFs", "unit": "dB", **_known(gain=found["delta_peaks"])}
        yield {"metric": f"{main.name} of other frames", "unit": "dB", **_known(gain=found["delta_others"])}


def _estimates(average: Average) -> Iterator[dict[str, Any]]:
    for name, estimate in average.estimates.items():
        yield {"metric": name, **_known(after=estimate.value)}
        yield {"metric": f"abs({name} - {estimate.of})", **_known(after=estimate.error)}


def _known(**parts: float | None) -> dict[str, float]:
    return {name: round(value, 6) for name, value in parts.items() if value is not None and math.isfinite(value)}
