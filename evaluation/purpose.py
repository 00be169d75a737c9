"""The purpose of weights (task, color, qualities, scale), read from the options of their training."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from powerqe.dataset.images import SETTING
from powerqe.net.weights.entry import Purpose, Qualities
from powerqe.utils.codecs import CODECS

_CODEC = re.compile(r"(?<![a-z])(jpeg|hevc|bpg|webp|avif|HM|x265)(?![a-z])", re.IGNORECASE)
_CLIPS = "VideoClips"
_DOUBLE = "DoubleJPEGImages"


def purpose_of(options: Mapping[str, Any]) -> Purpose:
    """Task, color, qualities and scale of a training.

    For images compressed on the fly they are in the options; for compressed files they follow from the names of the
    folders, as data_pre_process/ and the option files use them.

    Args:
        options: a whole option tree as plain data, with dataset.train.
    """
    data = main_source(options["dataset"]["train"])
    codecs = data.get("codecs") or ([data] if "codec" in data else _last_codec(data.get("chain", [])))
    scales = data.get("scale", 1)
    scale = max(scales) if isinstance(scales, list) else scales
    if codecs:  # of several the first
        task, qualities = codecs[0]["codec"]["type"].lower(), _compressed(codecs[0])
    else:
        task, qualities = _named(data.get("lq"))
    if data["type"] == _DOUBLE:
        task = "double_jpeg"
    elif data["type"] == _CLIPS:
        task = "video"
    elif scale > 1:
        task = "sr"
    return Purpose(task=task, color="y" if data.get("color") == "y" else "rgb", qualities=qualities, scale=scale)


def main_source(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data set itself; of a mixture the source with the highest weight."""
    sources = data.get("sources")
    return main_source(max(sources.values(), key=lambda source: source["weight"])) if sources else data


def _last_codec(steps: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The last step of a chain that compresses, as DownSampledImages writes a codec; none if there is none."""
    found: list[Mapping[str, Any]] = []
    for step in steps:
        if "quality" in step:
            found = [{"codec": step.get("codec", {"type": "JPEG"}), "quality": step["quality"]}]
        found = _last_codec(step.get("steps", [])) or found
    return found


def _compressed(data: Mapping[str, Any]) -> Qualities:
    """The qualities of a codec that runs when a sample is loaded."""
    unit, quality = getattr(CODECS[data["codec"]["type"]], "quality_name", "qf"), data["quality"]
    if isinstance(quality, Mapping):
        return Qualities(unit=unit, values=(quality["min"], quality["max"]), span=True)
    return Qualities(unit=unit, values=tuple(quality) if isinstance(quality, Iterable) else (quality,))


def _named(folders: str | list[str] | None) -> tuple[str, Qualities | None]:
    """Codec and qualities from the names of folders: data/div2k/jpeg_ds_2/qf10."""
    paths = [Path(folder).as_posix() for folder in ([folders] if isinstance(folders, str) else folders or [])]
    codecs = {found[1].lower() for path in paths for found in _CODEC.finditer(path)}
    settings = {(found[1].lower(), int(found[2])) for path in paths for found in SETTING.finditer(path)}
    units = {unit for unit, _ in settings}
    qualities = None
    if len(units) == 1:
        qualities = Qualities(unit=units.pop(), values=tuple(sorted(value for _, value in settings)))
    return (codecs.pop() if len(codecs) == 1 else "other"), qualities
