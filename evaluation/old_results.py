"""Results of earlier versions as those of format 2: results.json of images, and report.json of videos."""

from collections.abc import Mapping
from typing import Any

OLD_VIDEO_FILE = "report.json"
"""Where tests on videos wrote their results."""
_FLUCTUATIONS = ("sd_lq", "sd", "pvd_lq", "pvd", "pvd_at_lq", "ps_lq", "ps", "delta_peaks", "delta_others")


def converted(data: Mapping[str, Any]) -> dict[str, Any]:
    """Data of format 2. What earlier versions did not record is left out.

    Raises:
        KeyError, TypeError: not the results of an earlier version.
    """
    metrics = {name: {"name": name, **metric} for name, metric in data["metrics"].items()}
    known = {**data, "format": 2, "metrics": metrics, "parameters": data["parameters"] * len(data["weights"])}
    return known | (_videos(data) if "videos" in data else _images(data))


def _images(data: Mapping[str, Any]) -> dict[str, Any]:
    images = [image | {"estimates": _estimates(image.get("estimates", {}))} for image in data["images"]]
    averages = []
    for each in data["averages"]:
        members = [image for image in images if (image["set"], image["group"]) == (each["set"], each["group"])]
        count, seconds = len(members), sum(image["seconds"] for image in members)
        averages.append({**each, "count": count, "frames": count, "seconds": seconds})
    return {"images": images, "averages": averages}


def _estimates(data: Mapping[str, Any]) -> dict[str, Any]:
    """Of an image: `{"qf": {"value": 8.3, "quality": 10}}`."""
    found = {}
    for name, each in data.items():
        ((of, truth),) = ((key, value) for key, value in each.items() if key != "value")
        error = None if truth is None else abs(each["value"] - truth)
        found[name] = {"of": of, "value": each["value"], "truth": truth, "error": error}
    return found


def _videos(data: Mapping[str, Any]) -> dict[str, Any]:
    keys = {name: metric["key"] for name, metric in data["metrics"].items()}
    videos = [
        {**each, **_scores(each["figures"], keys, each["frames"]), "name": each["sequence"], "jct_class": each["class"]}
        for each in data["videos"]
    ]
    averages = [
        {**each, **_scores(each["figures"], keys, each["frames"]), "count": each["videos"]} for each in data["averages"]
    ]
    return {"videos": videos, "averages": averages}


def _scores(figures: Mapping[str, Any], keys: Mapping[str, str], frames: int) -> dict[str, Any]:
    """The scores of a video, from keys such as `psnr_lq`, `psnr`, `psnr_delta`."""
    return {
        "baseline": {name: figures[f"{key}_lq"] for name, key in keys.items()},
        "result": {name: figures[key] for name, key in keys.items()},
        "left_out": {name: figures[f"{key}_left_out"] for name, key in keys.items()},
        "fluctuation": {key: figures[key] for key in _FLUCTUATIONS if key in figures},
        "seconds": frames / figures["fps"] if figures["fps"] else 0.0,
    }
