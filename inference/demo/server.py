"""The command line of demo.py, and the server of its page: on this machine only, if nothing else is said."""

import argparse
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from PIL import Image

from powerqe.inference.demo.processing import Studio
from powerqe.inference.enhance_arguments import add_device, applying, number
from powerqe.utils.errors import UserError
from powerqe.utils.log import start_log, stop_log
from powerqe.utils.memory import keep_freed_memory
from powerqe.utils.parser import Parser

_LOCAL = "127.0.0.1"
_EXAMPLES = (("astronaut.png", 10), ("chelsea.png", 20), ("coffee.png", 10))
"""Photographs that scikit-image carries inside its package, and the JPEG quality at which they are shown."""


def parser() -> argparse.ArgumentParser:
    """The arguments, each with what it means."""
    made = Parser("Enhance pictures in a web page, on this machine: drop one, compare before and after, download.")
    add = made.add_argument
    add("--weights", metavar="NAME|PATH", help="weights that the page begins with, by name (python -m powerqe.net.weights list "
        "names all) or by path (default: for each picture those that suit it)")  # fmt: skip
    add("--port", type=int, metavar="N", help="port of the page (default: the first free one from 7860 on)")
    add("--host", default=_LOCAL, metavar="ADDRESS", help="address to listen at; 0.0.0.0 lets all machines of the "
        "network use the page, which asks for no password (default: %(default)s, this machine only)")  # fmt: skip
    add("--max-file", type=lambda text: number(text, 0.1, 1e4, "a number of MB"), default=32.0, metavar="MB",
        help="largest file that is taken, in megabytes (default: %(default)g)")  # fmt: skip
    add("--max-megapixels", type=lambda text: number(text, 1e-3, 1e3, "a number of megapixels"), default=24.0,
        metavar="N", help="largest picture that is taken, in millions of pixels (default: %(default)g)")  # fmt: skip
    add("--browser", action="store_true", help="open the page in a browser once it is there")
    add_device(made)
    made.set_defaults(tile="auto", qf=None, self_ensemble=False)
    return made


def serve(arguments: argparse.Namespace) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        UserError: gradio is not installed, no such device, or the port is in use.
    """
    _check_free(arguments.host, arguments.port)
    with _folder() as folder:
        gr = _gradio()
        from powerqe.inference.demo.page import CSS, build_page

        studio = Studio(applying(arguments), arguments.max_megapixels, arguments.weights)
        page = build_page(studio, folder / "results", _examples(folder / "examples"))
        start_log(None, timed=False)
        keep_freed_memory()
        _, local, _ = page.queue(max_size=16, api_open=False).launch(
            server_name=arguments.host,
            server_port=arguments.port,
            inbrowser=arguments.browser,
            max_file_size=int(arguments.max_file * 1e6),
            theme=gr.themes.Soft(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=CSS,
            quiet=True,
            share=False,
            ssr_mode=False,
            footer_links=[],
            prevent_thread_lock=True,
        )
        print(f"PowerQE is at {local} (Ctrl-C stops it)", flush=True)
        try:
            page.block_thread()
        finally:
            page.close(verbose=False)
            stop_log()


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder for all that is sent and made, which goes when the page does; gradio asks the environment for it."""
    with tempfile.TemporaryDirectory(prefix="powerqe-demo-", ignore_cleanup_errors=True) as name:
        os.environ["GRADIO_TEMP_DIR"] = name
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        yield Path(name)


def _gradio() -> ModuleType:
    try:
        import gradio
    except ImportError as error:
        raise UserError(f"demo.py needs gradio ({error}); install it: pip install 'powerqe[demo]'") from None
    return gradio


def _examples(folder: Path) -> list[Path]:
    """JPEG files of photographs that may be shown; none where scikit-image has none."""
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
    """Raise `UserError` where nobody can listen; gradio would try for minutes."""
    try:
        family, *_, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that is closing does not count
            tried.bind(address)
    except (OSError, OverflowError) as error:
        place = host if port is None else f"port {port} of {host}"
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen at {place} ({reason}); choose others with --host, --port") from None
