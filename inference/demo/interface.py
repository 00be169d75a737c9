"""The user interface of the demo: its elements and events. Images are processed in processing.py."""

import html
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from powerqe.inference.choose import can_be_conditioned
from powerqe.inference.demo.processing import Choice, DemoProcessor, Outcome, available_weights, codecs, describe_photo
from powerqe.utils.errors import UserError
from powerqe.utils.file_names import file_name
from powerqe.utils.image.write import write_photo
from powerqe.utils.memory import give_back_memory
from powerqe.utils.text_table import digits_of, markdown, number

TITLE = "PowerQE"
_ANY = "automatic"
_NAMED = "--weights"  # value of the entry for the weights of the command line
_LEAD = """# PowerQE
Remove compression artifacts from images. Drop a JPEG, or compress a clean image here to measure the gain."""
_FOOT = "Images stay on the machine that runs this page and are deleted when it stops. Results are PNG files."
CSS = """
.gradio-container { max-width: 1280px !important; margin: auto; }
#lead h1 { margin-bottom: 0.1em; }
#about p, #outcome p { margin: 0.25em 0; }
.gradio-container main { max-width: 1280px !important; }
#outcome table { margin: 0.6em 0; font-variant-numeric: tabular-nums; }
#outcome td, #outcome th { white-space: nowrap; padding: 0.4em 0.8em; }
#foot p { opacity: 0.7; font-size: 0.85em; }
@media (max-width: 700px) {  /* the result above the controls */
  #parts { flex-direction: column; flex-wrap: nowrap; }
  #left, #right { display: contents; }
  #slider, #outcome, #save { order: 1; }
  #controls { order: 2; }
}
"""


@dataclass(frozen=True)
class _Controls:
    """The controls, in the order of the arguments of `_Actions.enhance`."""

    method: Any
    weights: Any
    estimate: Any
    qf: Any
    ensemble: Any
    compress: Any
    codec: Any
    quality: Any

    @property
    def all(self) -> list[Any]:
        return [getattr(self, name) for name in self.__dataclass_fields__]


def build_page(processor: DemoProcessor, folder: Path, examples: Sequence[Path] = ()) -> Any:
    """The page, as gradio's `Blocks`.

    Args:
        folder: for the results, inside the folder from which gradio serves files.
        examples: images that a user can try.
    """
    import gradio as gr

    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(600, 3600), fill_width=True) as page:
        gr.Markdown(_LEAD, elem_id="lead")
        with gr.Row(elem_id="parts"):
            with gr.Column(scale=1, min_width=300, elem_id="left"):
                source = _source(gr)
                about = gr.Markdown(elem_id="about")
                if examples:
                    gr.Examples([[str(path)] for path in examples], [source], label="Examples",
                                api_visibility="private")  # fmt: skip
                with gr.Column(elem_id="controls"):
                    controls = _controls(gr, processor)
            with gr.Column(scale=2, min_width=320, elem_id="right"):
                slider = gr.ImageSlider(label="before | after", type="filepath", interactive=False, max_height=640,
                                        elem_id="slider", buttons=["fullscreen"])  # fmt: skip
                outcome = gr.Markdown(elem_id="outcome")
                save = gr.DownloadButton("Download the result", interactive=False, variant="primary", elem_id="save")
        gr.Markdown(_FOOT, elem_id="foot")
        _connect(gr, source, about, controls, (slider, outcome, save), _Actions(processor, folder))
    return page


def _source(gr: Any) -> Any:
    source = gr.Image(label="Image", type="filepath", image_mode=None, sources=["upload", "clipboard"], height=260,
                      elem_id="source", buttons=[])  # fmt: skip
    # The file as uploaded: gradio would decode it here, and an invalid file would be a traceback.
    source.preprocess = lambda payload: payload and payload.path
    return source


def _controls(gr: Any, processor: DemoProcessor) -> _Controls:
    named = [(processor.named.name, _NAMED)] if processor.named else []
    methods = [*named, (_ANY, ""), *((name, name) for name in available_weights())]
    method = gr.Dropdown(methods, value=methods[0][1], label="Method", elem_id="method")
    weights = gr.Dropdown([(_ANY, "")], value="", label="Weights", visible=False, elem_id="weights")
    visible = processor.named is not None and can_be_conditioned(processor.named.method)
    estimate = gr.Checkbox(True, label="Estimate the quality factor automatically", visible=visible, elem_id="estimate")
    qf = gr.Slider(1, 100, 30, step=1, label="Quality factor of the input", visible=False, elem_id="qf",
                   info="lower values remove more")  # fmt: skip
    compress = gr.Checkbox(False, label="Compress the image first (for clean images)", elem_id="compress")
    codec = gr.Dropdown(list(codecs()), value="JPEG", label="Codec", visible=False, elem_id="codec")
    quality = gr.Slider(1, 100, 10, step=1, label=_quality_label("qf"), visible=False, elem_id="quality")
    with gr.Accordion("More", open=False):
        ensemble = gr.Checkbox(False, label="Self-ensemble (average over eight orientations)",
                               info="slightly better, eight times slower")  # fmt: skip
    return _Controls(method, weights, estimate, qf, ensemble, compress, codec, quality)


def _connect(gr: Any, source: Any, about: Any, controls: _Controls, shown: tuple[Any, ...], act: "_Actions") -> None:
    """Connect the events of the elements to the actions."""
    quiet = {"api_visibility": "private", "show_progress": "hidden"}
    enhance = {"fn": act.enhance, "inputs": [source, *controls.all], "outputs": list(shown), "concurrency_limit": 1,
               "trigger_mode": "always_last", "api_visibility": "private", "show_progress_on": [shown[0]]}  # fmt: skip
    changed = gr.on([source.change], act.describe, [source], [about], **quiet)
    changed.success(**enhance)
    controls.method.change(
        act.methods, [controls.method, controls.estimate], [controls.weights, controls.estimate, controls.qf], **quiet
    )
    controls.estimate.change(lambda estimate: gr.update(visible=not estimate), [controls.estimate], [controls.qf],
                             **quiet)  # fmt: skip
    controls.compress.change(lambda on: [gr.update(visible=on)] * 2, [controls.compress],
                             [controls.codec, controls.quality], **quiet)  # fmt: skip
    controls.codec.input(act.codec, [controls.codec], [controls.quality], **quiet).success(**enhance)
    for control in (controls.method, controls.weights, controls.estimate, controls.ensemble, controls.compress):
        control.input(**enhance)
    for slider in (controls.qf, controls.quality):
        slider.release(**enhance)


class _Actions:
    """The callbacks of the page."""

    def __init__(self, processor: DemoProcessor, folder: Path) -> None:
        self._processor, self._folder = processor, folder

    def describe(self, source: str | None) -> str:
        """Name, size and quality of an uploaded image, as HTML-safe text."""
        if source is None:
            return ""
        photo = _or_message(self._processor.read, source)
        return html.escape(", ".join([Path(source).name, *describe_photo(photo)]))

    def methods(self, method: str, estimate: bool) -> list[Any]:
        """The weights of a method, and whether it can be conditioned on a quality factor."""
        import gradio as gr

        names = [entry.name for entry in available_weights().get(method, [])]
        can_choose, visible = len(names) > 1, self._can_be_conditioned(method)
        choices = [(_ANY, ""), *((name, name) for name in names)]
        return [
            gr.update(choices=choices, value="", visible=can_choose),
            gr.update(visible=visible),
            gr.update(visible=visible and not estimate),
        ]

    def codec(self, name: str) -> Any:
        """The quality slider of a codec."""
        import gradio as gr

        codec = codecs()[name]
        low, high = codec.quality_range
        start = 37 if codec.quality_name == "qp" else 10
        return gr.update(minimum=low, maximum=high, value=start, label=_quality_label(codec.quality_name))

    def enhance(
        self,
        source: str | None,
        method: str,
        weights: str,
        estimate: bool,
        qf: float,
        ensemble: bool,
        compress: bool,
        codec: str,
        quality: float,
    ) -> tuple[Any, str, Any]:
        """The images for the slider, their description, and the file for the button."""
        import gradio as gr

        if source is None:
            return None, "", gr.update(value=None, interactive=False)
        factor = None if estimate or not self._can_be_conditioned(method) else qf
        if method == _NAMED:
            method, weights = "", self._processor.weights or ""
        choice = Choice(method, weights, factor, ensemble, codec if compress else "", int(quality))
        try:
            outcome = _or_message(self._processor.enhance, _or_message(self._processor.read, source), choice)
            before, after = self._write(Path(source).stem, outcome)
        finally:
            give_back_memory()
        return (before, after), describe(outcome), gr.update(value=after, interactive=True)

    def _can_be_conditioned(self, method: str) -> bool:
        named = self._processor.named
        return can_be_conditioned(named.method if named and method == _NAMED else method)

    def _write(self, stem: str, outcome: Outcome) -> tuple[str, str]:
        folder = self._folder / uuid.uuid4().hex
        paths = folder / file_name(stem, "-before.png"), folder / file_name(stem, "-enhanced.png")
        try:
            for path, photo in zip(paths, (outcome.before, outcome.after), strict=True):
                write_photo(path, photo)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise _failure(f"the result cannot be written: {error.strerror}") from None
        return str(paths[0]), str(paths[1])


def describe(outcome: Outcome) -> str:
    """The text below the slider, in Markdown."""
    model = outcome.model
    lines = [
        f"**Before:** {', '.join(outcome.facts)}",
        f"**After:** {model.method}, {model.parameters:,} parameters, `{model.name}`, {outcome.seconds:.1f} s",
        *(f"*{note}*" for note in outcome.notes),
    ]
    text = "\n\n".join(html.escape(line, quote=False) for line in lines)
    if not outcome.scores:
        return text
    rows = [["", "before", "after", "gain"]]
    for score in outcome.scores:
        digits, unit = digits_of(score.unit), f" [{score.unit}]" if score.unit else ""
        gain = number(score.after - score.before, digits, sign=True)
        rows.append([f"{score.metric}{unit}", number(score.before, digits), number(score.after, digits), gain])
    of = " / ".join(dict.fromkeys(score.convention for score in outcome.scores))
    return f"{text}\n\n{markdown(rows, 1)}\n*against the clean image ({html.escape(of)})*"


def _quality_label(name: str) -> str:
    return {"qf": "Quality factor (higher is better)", "qp": "Quantization parameter (lower is better)"}[name]


def _or_message(do: Callable[..., Any], *arguments: Any) -> Any:
    """Result of `do`; a user error becomes a message on the page."""
    try:
        return do(*arguments)
    except UserError as error:
        raise _failure(" ".join(str(error).split())) from None
    except MemoryError:
        raise _failure("the image does not fit into memory; use a smaller one") from None


def _failure(message: str) -> Exception:
    import gradio as gr

    return gr.Error(html.escape(message), title="Error", print_exception=False)
