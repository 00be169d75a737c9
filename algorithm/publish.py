"""Ship what an experiment has learnt: python -m algorithm.publish --opt FILE --case NAME

Writes weights/<experiment>.safetensors (the best checkpoint, its moving average if it has one, without the
state of the training) and the card weights/<experiment>.md. Train and test the experiment before.
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import yaml

from algorithm.tables import SPEED
from net import load_weights, save_weights
from utils.arguments import option_parser, parse_options
from utils.checkpoint import load_checkpoint
from utils.components import build
from utils.errors import UserError, command
from utils.files import atomic_path
from utils.options import Options

FOLDER = Path("weights")


@command
def main() -> None:
    """Publish the experiment of an option file's case."""
    arguments = option_parser(__doc__).parse_args()
    options = parse_options(arguments)
    if options:
        path = publish(options, f"--opt {arguments.opt}" + (f" --case {arguments.case}" if arguments.case else ""))
        print(f"{path} ({path.stat().st_size:,} bytes) and its card {path.with_suffix('.md')}")


def publish(options: Options, arguments: str) -> Path:
    """Write weights and card; returns the path of the weights.

    Args:
        options: of the experiment.
        arguments: with which train.py and test.py were called, for the card.

    Raises:
        UserError: the experiment has not been trained or not been tested.
    """
    checkpoint = options.folder / "ckp-best.pt"
    state, results = load_checkpoint(checkpoint), _results(options.folder)
    network = build(options.network)
    load_weights(network, checkpoint)
    path = FOLDER / f"{options.name}.safetensors"
    spec = options.to_dict()["network"]  # as it was tested: what is no weight may differ from the training
    save_weights(network, path, {"network": json.dumps(spec)})
    parameters = sum(p.numel() for p in network.parameters())
    with atomic_path(path.with_suffix(".md")) as card:
        card.write_text(_card(path, spec, state, results, parameters, arguments), encoding="utf-8")
    return path


def _results(folder: Path) -> dict[str, Any]:
    """Of the last test: on images, or on videos."""
    found = [path for name in ("results.json", "report.json") if (path := folder / name).is_file()]
    if not found:
        raise UserError(
            f"no {folder / 'results.json'}: run test.py on this experiment first, the card tells its figures"
        )
    return json.loads(max(found, key=lambda path: path.stat().st_mtime_ns).read_text(encoding="utf-8"))


def _card(
    path: Path, spec: dict[str, Any], state: dict[str, Any], results: dict[str, Any], parameters: int, arguments: str
) -> str:
    options, digest = state["options"], hashlib.sha256(path.read_bytes()).hexdigest()
    data, train = options["dataset"]["train"], options["train"]
    # The speed is a figure of the machine, not of the weights.
    rows = [[cell for title, cell in row.items() if title != SPEED] for row in results["means"]]
    header = [title for title in results["means"][0] if title != SPEED]
    table = [header, ["---"] * len(header), *rows]
    lines = [
        f"# {path.stem}",
        "",
        f"{spec['type']}, {parameters:,} parameters, {path.stat().st_size:,} bytes. Licence: Apache-2.0.",
        f"SHA-256 `{digest}`",
        "",
        "## Figures",
        "",
        *("| " + " | ".join(row) + " |" for row in table),
        "",
        "## Training",
        "",
        f"- data: {_images(data)}, validation {_images(options['dataset']['val'])}; the test sets above were not seen",
        f"- {state['iter']:,} of {train['niter']:,} iterations, {state['samples']:,} patches of {data['patch']} x "
        f"{data['patch']}; best validation at iteration {state['best']['iters'][0]:,}",
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


def _images(data: dict[str, Any]) -> str:
    """Where a data set's pictures are, and which of them it used."""
    used = data.get("slice")
    return f"`{data['gt']}`" + (f" {used[0]} to {used[1] - 1}" if used else "")


if __name__ == "__main__":
    sys.exit(main())
