"""The server of the demo: on this machine only, unless another host is given."""

import os
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from PIL import Image

from powerqe.inference.demo.processing import DemoProcessor
from powerqe.inference.inference_options import InferenceOptions
from powerqe.utils.errors import UserError
from powerqe.utils.log import start_log, stop_log
from powerqe.utils.memory import keep_freed_memory

LOCAL = "127.0.0.1"
_EXAMPLES = (("astronaut.png", 10), ("chelsea.png", 20), ("coffee.png", 10))
"""Photographs in the package of scikit-image, and the JPEG quality of the examples made from them."""


def serve(
    options: InferenceOptions,
    *,
    weights: str | None = None,
    host: str = LOCAL,
    port: int | None = None,
    max_file: float = 32.0,
    max_megapixels: float = 24.0,
    browser: bool = False,
) -> None:
    """Serve the page until an exception (such as that of a signal); then remove all uploaded and enhanced files.

    Args:
        options: inference options.
        weights: initially selected; None: selected for each image.
        host: the address to listen at.
        port: None: the first free one from 7860 on.
        max_file: largest file that is accepted, in megabytes.
        max_megapixels: largest image that is accepted, in millions of pixels.
        browser: open the page in a browser.

    Raises:
        UserError: gradio is not installed, no such weights, or the port is in use.
    """
    _check_free(host, port)
    with _folder() as folder:
        gr = _gradio()
        from powerqe.inference.demo.interface import CSS, build_page

        processor = DemoProcessor(options, max_megapixels, weights)
        page = build_page(processor, folder / "results", _examples(folder / "examples"))
        start_log(None, timed=False)
        keep_freed_memory()
        try:
            _, local, _ = page.queue(max_size=16, api_open=False).launch(
                server_name=host,
                server_port=port,
                inbrowser=browser,
                max_file_size=int(max_file * 1e6),
                theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
                css=CSS,
                quiet=True,
                share=False,
                ssr_mode=False,
                footer_links=[],
                prevent_thread_lock=True,
            )
            print(f"PowerQE demo: {local} (Ctrl-C to stop)", flush=True)
            while True:  # the server has a thread of its own
                time.sleep(3600)
        finally:
            page.close(verbose=False)
            stop_log()


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder for all files; gradio takes it from the environment."""
    with tempfile.TemporaryDirectory(prefix="powerqe-demo-", ignore_cleanup_errors=True) as name:
        os.environ["GRADIO_TEMP_DIR"] = name
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        yield Path(name)


def _gradio() -> ModuleType:
    try:
        import gradio
    except ImportError as error:
        raise UserError(f"the demo needs gradio ({error}); install it: pip install 'powerqe[demo]'") from None
    return gradio


def _examples(folder: Path) -> list[Path]:
    """JPEG files of example photographs; empty where scikit-image has none."""
    from importlib.resources import files

    made = []
    for name, quality in _EXAMPLES:
        source = Path(str(files("skimage.data"))) / name
        if not source.is_file():
            continue
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{source.stem}-qf{quality}.jpg"
        Image.open(source).convert("RGB").save(path, quality=quality)
        made.append(path)
    return made


def _check_free(host: str, port: int | None) -> None:
    """Raise `UserError` if the address is in use; gradio would try for minutes."""
    try:
        family, *_, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # allow one that is closing
            tried.bind(address)
    except (OSError, OverflowError) as error:
        place = host if port is None else f"port {port} of {host}"
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen at {place} ({reason}); change --host or --port") from None
