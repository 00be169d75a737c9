"""The server of the demo: on this machine only, unless another host is given."""

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from PIL import Image

from powerqe.inference.demo.guard import Guard, own_names
from powerqe.inference.demo.processing import DemoProcessor
from powerqe.inference.demo.visitors import Visitors, temporary_folder
from powerqe.inference.inference_options import InferenceOptions
from powerqe.utils.errors import UserError
from powerqe.utils.log import start_log, stop_log
from powerqe.utils.memory import keep_freed_memory

LOCAL = "127.0.0.1"
_FORM = 10_000
"""Bytes of an upload besides the file."""
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
    max_total: float = 1024.0,
    allowed_hosts: Sequence[str] = (),
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
        max_total: largest size of all files on the server together, in megabytes.
        allowed_hosts: names under which it may be addressed, such as that of a proxy.
        browser: open the page in a browser.

    Raises:
        UserError: gradio is not installed, no such weights, or the port is in use.
    """
    _check_free(host, port)
    with temporary_folder() as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        gr = _gradio()
        from starlette.middleware import Middleware

        from powerqe.inference.demo.interface import CSS, build_page

        processor = DemoProcessor(options, max_megapixels, weights)
        examples = _examples(folder / "examples")
        page = build_page(processor, folder / "results", examples)
        guard = {
            "visitors": Visitors(folder, int(max_total * 1e6), examples),
            "hosts": {*allowed_hosts, *own_names(host)},
            "max_upload": int(max_file * 1e6) + _FORM,
        }
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
                app_kwargs={"middleware": [Middleware(Guard, **guard)]},
                prevent_thread_lock=True,
            )
            print(f"PowerQE demo: {local} (Ctrl-C to stop)", flush=True)
            while True:  # the server has a thread of its own
                time.sleep(3600)
        finally:
            page.close(verbose=False)
            stop_log()


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
