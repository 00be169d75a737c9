"""The results of one shard of a test, `results.<i>-of-<n>.json`, and how those of all shards become the whole test's.

The file has what the tables are computed from: scores of each image, or of each frame, and the features of metrics of
sets. So the merged tables are those of a test in one piece.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from powerqe.evaluation.evaluate import EstimateRecord, Metrics, Record
from powerqe.evaluation.result_table import Table, write_tables
from powerqe.evaluation.video_curves import draw_curves
from powerqe.evaluation.video_progress import FrameScores
from powerqe.evaluation.video_results import VideoReport, write_report
from powerqe.evaluation.video_scores import VideoScores
from powerqe.utils.errors import UserError
from powerqe.utils.files import write_text
from powerqe.utils.options.components import validate_component
from powerqe.utils.options.tree import Options, flat
from powerqe.utils.shards import Shard
from powerqe.utils.video.frame_records import FrameInfo

FORMAT = 1
_PATTERN = "results.*-of-*.json"
_OWN = {"date", "device", "threads"}
"""Facts that may differ from shard to shard."""
Numbers = Mapping[str, tuple[Sequence[int], int]]
"""Test set -> which of its images this shard has, and of how many; of videos there is one list, "", for all sets."""


class _Partial(NamedTuple):
    """A file. same: what must be the same in all. items: (set, number) -> the fields of an image or a video."""

    path: Path
    shard: Shard
    same: dict[str, Any]
    own: dict[str, Any]
    unavailable: dict[str, str]
    items: dict[tuple[str, int], dict[str, Any]]


def partial_path(options: Options, shard: Shard) -> Path:
    """The file of a shard, in the experiment's folder."""
    return options.folder / f"results.{shard.index}-of-{shard.count}.json"


def write_partial(options: Options, shard: Shard, tested: Table | VideoReport, numbers: Numbers) -> None:
    """Write the results of a shard, whole or not at all."""
    if isinstance(tested, Table):
        found = [(name, vars(record)) for name, records in tested.records.items() for record in records]
    else:
        found = [("", vars(video)) for video in tested.videos]
    places = [number for mine, _ in numbers.values() for number in mine]
    same = {
        "format": FORMAT,
        "of": "images" if isinstance(tested, Table) else "videos",
        "title": tested.title,
        "facts": {name: value for name, value in tested.facts.items() if name not in _OWN},
        "criterion": {
            name: each.model_dump(mode="json", serialize_as_any=True) for name, each in options.test.criterion.items()
        },
        "available": sorted(tested.metrics.metrics),
        "totals": {name: total for name, (_, total) in numbers.items()},
    }
    content = {
        "shard": [shard.index, shard.count],
        "same": same,
        "own": {name: value for name, value in tested.facts.items() if name in _OWN},
        "unavailable": tested.metrics.unavailable,
        "items": [(name, place, fields) for place, (name, fields) in zip(places, found, strict=True)],
    }
    write_text(partial_path(options, shard), json.dumps(content, default=_plain, ensure_ascii=False) + "\n")


def merge(places: Sequence[Path], out: Path) -> Table | VideoReport:
    """Write what the test writes, but for images, from the results of all its shards.

    Args:
        places: files of shards, or folders with them.
        out: the folder of the tables.

    Raises:
        UserError: shards that are missing, there twice, or not of one test.
    """
    parts = sorted((_read(path) for path in _paths(places)), key=lambda part: part.shard.index)
    _check_shards(parts)
    for other in parts[1:]:
        _check_same(parts[0], other)
    same = parts[0].same
    metrics = Metrics({name: validate_component("metric", spec) for name, spec in same["criterion"].items()})
    if missing := sorted(set(same["available"]) - set(metrics.metrics)):
        raise UserError(f"{missing[0]} of the shards is not available here: {metrics.unavailable[missing[0]]}")
    for part in parts:
        metrics.unavailable |= part.unavailable
    items = {key: fields for part in parts for key, fields in part.items.items()}
    keys = [(name, number) for name, total in same["totals"].items() for number in range(total)]
    if lost := [key for key in keys if key not in items]:
        raise UserError(f"no shard has {same['of'][:-1]} {lost[0][1]} {lost[0][0]}".rstrip() + "; test again")
    facts = _facts(parts)
    if same["of"] == "images":
        records = {name: [_record(items[key]) for key in keys if key[0] == name] for name in same["totals"]}
        table = Table(same["title"], records, metrics, facts)
        write_tables(table, out)
        return table
    report = VideoReport(same["title"], [_video(items[key]) for key in keys], metrics, facts)
    write_report(report, out)
    draw_curves(report, out / "curves")
    return report


def _paths(places: Sequence[Path]) -> list[Path]:
    """Each file once."""
    paths: list[Path] = []
    for place in places:
        paths += (found := sorted(place.glob(_PATTERN)) if place.is_dir() else [place])
        if not found:
            raise UserError(f"no {_PATTERN} in {place}; `powerqe test --shard i/n` writes them")
    return list(dict.fromkeys(paths))


def _read(path: Path) -> _Partial:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        (index, count), same = data["shard"], data["same"]
        if same["format"] != FORMAT:
            raise UserError(f"{path}: found format {same['format']}, this version reads {FORMAT}; use the same version")
        items = {(name, number): dict(fields) for name, number, fields in data["items"]}
        return _Partial(path, Shard(index, count), same, data["own"], data["unavailable"], items)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; check the path") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path} holds no results of `powerqe test --shard` ({type(error).__name__}: {error}); test it again"
        ) from None


def _check_shards(parts: Sequence[_Partial]) -> None:
    first = parts[0]
    for earlier, part in pairwise(parts):
        if part.shard.count != first.shard.count:
            counts = f"{first.shard.count} and of {part.shard.count}"
            raise UserError(f"{first.path} and {part.path} are of {counts} shards; name the files of one test")
        if part.shard == earlier.shard:
            raise UserError(f"{earlier.path} and {part.path} are both shard {part.shard}; name one of them")
    there = {part.shard.index for part in parts}
    if missing := [f"{index}/{first.shard.count}" for index in range(first.shard.count) if index not in there]:
        raise UserError(f"missing: shard {', '.join(missing)}; run `powerqe test` with --shard {missing[0]}")


def _check_same(first: _Partial, other: _Partial) -> None:
    """Weights are compared by their content."""
    found = []
    for part in (first, other):
        values = flat(part.same)
        found.append({key: value for key, value in values.items() if not key.startswith("facts.weights.")})
        found[-1] |= {f"weights of {name}": each["sha256"] for name, each in part.same["facts"]["weights"].items()}
    for key in dict.fromkeys([*found[0], *found[1]]):
        values = [each.get(key) for each in found]
        if values[0] != values[1]:
            raise UserError(f"{first.path} and {other.path} are of different tests: {key.removeprefix('facts.')} is "
                            f"{values[0]} and {values[1]}; test these shards with the same")  # fmt: skip


def _facts(parts: Sequence[_Partial]) -> dict[str, Any]:
    """Of the whole test: the last date, all devices."""
    threads = {part.own.get("threads") for part in parts}
    return {
        **parts[0].same["facts"],
        "date": max(part.own["date"] for part in parts),
        "device": " + ".join(dict.fromkeys(part.own["device"] for part in parts)),
        "threads": threads.pop() if len(threads) == 1 else None,
    }


def _record(fields: dict[str, Any]) -> Record:
    record = Record(**fields)
    record.estimates = {name: EstimateRecord(*each) for name, each in fields["estimates"].items()}
    for scores in (record.baseline, record.result):
        scores |= {name: _tensor(score) for name, score in scores.items() if isinstance(score, dict)}
    return record


def _video(fields: dict[str, Any]) -> VideoScores:
    frames = [FrameScores(*frame) for frame in fields["frames"]]
    coded = None if fields["coded"] is None else [FrameInfo(*frame) for frame in fields["coded"]]
    return VideoScores(**{**fields, "frames": frames, "coded": coded})


def _plain(value: Any) -> Any:
    """The features of an image as text."""
    if isinstance(value, torch.Tensor):
        array = value.numpy()
        return {"dtype": str(array.dtype), "shape": array.shape, "base64": base64.b64encode(array.tobytes()).decode()}
    raise TypeError(f"{type(value).__name__} is no score")


def _tensor(fields: dict[str, Any]) -> torch.Tensor:
    array = np.frombuffer(base64.b64decode(fields["base64"]), np.dtype(fields["dtype"]))
    return torch.from_numpy(array.reshape(fields["shape"]).copy())
