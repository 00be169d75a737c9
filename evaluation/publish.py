"""Ship what an experiment has learnt: its weights with a card that tells where they come from and what they gain.

Writes weights/<experiment>.safetensors (the best checkpoint, its moving average if it has one, without the
state of the training) and the card weights/<experiment>.md, and writes weights/index.json anew, by which the weights
are found under the experiment's name. Train and test the experiment before.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from powerqe.evaluation.purpose import purpose_of
from powerqe.evaluation.result_table import SPEED
from powerqe.inference.load import find_network
from powerqe.net import save_weights
from powerqe.net.weights.cards import Entry, facts_lines, read_figures
from powerqe.net.weights.index import write_index
from powerqe.utils.checkpoint import load_checkpoint
from powerqe.utils.errors import UserError
from powerqe.utils.files import atomic_path, sha256_of
from powerqe.utils.options.tree import Options
from powerqe.utils.text_table import markdown

FOLDER = Path("weights")
LICENSE = "Apache-2.0"


def publish(options: Options, arguments: str, url: str | None = None) -> Path:
    """Write weights, card and index; returns the path of the weights.

    Args:
        options: of the experiment.
        arguments: of `powerqe train` and `powerqe test`, for the card.
        url: from which `powerqe weights fetch` gets the file where it is not.

    Raises:
        UserError: the experiment has not been trained or not been tested, or another card is damaged.
    """
    checkpoint = options.folder / "ckp-best.pt"
    state, results = load_checkpoint(checkpoint), _results(options.folder)
    network = find_network(checkpoint, options.network).build()
    path = FOLDER / f"{options.name}.safetensors"
    spec = options.to_dict()["network"]  # as it was tested: what is no weight may differ from the training
    save_weights(network, path, {"network": json.dumps(spec)})
    trained = state["options"]
    entry = Entry(
        **purpose_of(trained).model_dump(),
        name=options.name,
        method=spec["type"],
        parameters=sum(p.numel() for p in network.parameters()),
        training=_images(trained["dataset"]["train"]).replace("`", ""),
        figures=read_figures(results["means"]),
        file=path.name,
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        license=LICENSE,
        url=url,
    )
    with atomic_path(path.with_suffix(".md")) as card:
        card.write_text(_card(entry, spec, state, results, arguments), encoding="utf-8")
    write_index(FOLDER)
    return path


def _results(folder: Path) -> dict[str, Any]:
    """Of the last test: on images, or on videos."""
    found = [path for name in ("results.json", "report.json") if (path := folder / name).is_file()]
    if not found:
        raise UserError(
            f"no {folder / 'results.json'}: run `powerqe test` on this experiment first, the card tells its figures"
        )
    return json.loads(max(found, key=lambda path: path.stat().st_mtime_ns).read_text(encoding="utf-8"))


def _card(entry: Entry, spec: dict[str, Any], state: dict[str, Any], results: dict[str, Any], arguments: str) -> str:
    options = state["options"]
    data, train = options["dataset"]["train"], options["train"]
    # The speed is a figure of the machine, not of the weights.
    rows = [[cell for title, cell in row.items() if title != SPEED] for row in results["means"]]
    header = [title for title in results["means"][0] if title != SPEED]
    lines = [
        f"# {entry.name}",
        "",
        *facts_lines(entry),
        "",
        "## Figures",
        "",
        markdown([header, *rows], 3),
        "## Training",
        "",
        f"- data: {_images(data)}, validation {_images(options['dataset']['val'])}; the test sets above were not seen",
        f"- {state['iter']:,} of {train['niter']:,} iterations, {state['samples']:,} patches of {data['patch']} x "
        f"{data['patch']}; best validation at iteration {state['best']['iters'][0]:,}",
        *_start(train),
        f"- torch {state['versions']['torch']}",
        "- again with:",
        "",
        "```sh",
        f"python train.py {arguments}",
        f"python test.py {arguments}",
        "```",
        "",
        "## Network",
        "",
        "```yaml",
        yaml.safe_dump({"network": spec}, sort_keys=False).rstrip(),
        "```",
        "",
    ]
    return "\n".join(lines)


def _start(train: dict[str, Any]) -> list[str]:
    """What the training went on from, if it did not start from random weights."""
    start = (train.get("warm_start") or {}).get("ckp_load_path")
    return [f"- starts from `{start}`"] if start else []


def _images(data: dict[str, Any]) -> str:
    """Where a data set's pictures are, and which of them it used."""
    used = data.get("slice")
    return f"`{data['gt']}`" + (f" {used[0]} to {used[1] - 1}" if used else "")
