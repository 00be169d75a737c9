"""The page as a visitor sees it, in a real Chromium, and what its server refuses."""

import contextlib
import io
import itertools
import json
import re
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from skimage import data

from powerqe.inference.demo.processing import Choice, DemoProcessor
from powerqe.inference.inference_options import InferenceOptions
from powerqe.utils.image.photo import read_photo
from tests.processes import in_background

pytestmark = pytest.mark.slow

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CLEAN = data.astronaut()[:128, 144:304]


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """clean.png, damaged.jpg of quality 10, wrong.png, which is a text, and large.png of more than 1 megapixel."""
    folder = tmp_path_factory.mktemp("images")
    Image.fromarray(CLEAN).save(folder / "clean.png")
    Image.fromarray(CLEAN).save(folder / "damaged.jpg", quality=10)
    (folder / "wrong.png").write_text("<b>no image</b>")
    Image.new("L", (1001, 1000)).save(folder / "large.png")
    return folder


@contextlib.contextmanager
def served(root: Path, folder: Path, *arguments: str, number: int = signal.SIGTERM) -> Iterator[tuple[str, Path]]:
    """`python demo.py` in the background: its address, and the folder in which its temporary one lies.

    At the end it is stopped by a signal.
    """
    log = folder / "stderr"
    command = [sys.executable, "demo.py", "--device", "cpu", *arguments]
    with log.open("w") as errors, in_background(
        command, root, errors=errors, seconds=900, TMPDIR=str(folder)
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"PowerQE demo: (http://127\.0\.0\.1:\d+)/ \(Ctrl-C to stop\)\n", line)
        assert found, line + log.read_text()
        yield found[1], folder
        process.send_signal(number)
        assert process.wait(30) == 128 + number
    assert not list(folder.glob("powerqe-demo-*"))  # all that was sent and made is gone
    assert not re.findall(r"^\w[\w.]*(?:Error|Exception)\b.*", log.read_text(), re.MULTILINE)  # whatever was sent


@pytest.fixture(scope="module")
def server(root, tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """One page for most tests, with small limits."""
    pytest.importorskip("gradio", reason="the page needs the extra [demo]")
    with served(root, tmp_path_factory.mktemp("temporary"), "--max-megapixels", "1", "--max-file", "2") as place:
        yield place


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium on this machine; on Debian: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium, server):
    """Opens the page at a size; what it asks of other machines, or complains about, fails the test."""
    with contextlib.ExitStack() as stack:

        def visit(width: int = 1280, height: int = 900, address: str = server[0]) -> Any:
            context = stack.enter_context(
                contextlib.closing(chromium.new_context(viewport={"width": width, "height": height}))
            )
            page = context.new_page()
            page.set_default_timeout(60_000)
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.goto(address)
            page.wait_for_selector("#source input[type=file]", state="attached")
            return page

        asked: list[str] = []
        complaints: list[str] = []
        yield visit
    assert asked
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:", "blob:"))]
    assert not complaints


def send(page: Any, path: Path) -> None:
    page.set_input_files("#source input[type=file]", path)


def enhanced(page: Any, text: str) -> None:
    """Wait until a result is shown of which `text` is said."""
    page.locator("#outcome", has_text=text).wait_for()
    page.wait_for_function("[...document.querySelectorAll('#slider img')].filter(i => i.naturalWidth).length == 2")


def downloaded(page: Any, path: Path) -> np.ndarray:
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(path)
    return read_photo(path).pixels


def test_upload_slider_and_download(visit, photos, tmp_path):
    page = visit()
    assert page.locator("#save").is_disabled()
    send(page, photos / "damaged.jpg")
    enhanced(page, "restore-color")
    assert "damaged.jpg, 160 × 128, JPEG quality 10" in page.locator("#about").inner_text()
    assert "Before: 160 × 128, JPEG quality 10" in page.locator("#outcome").inner_text()

    after = page.locator("#slider img").nth(1)
    handle = page.locator("#slider [data-testid=slider]").bounding_box()
    clip = after.evaluate("image => image.style.clipPath")
    seen = page.locator("#slider").screenshot()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(handle["x"] + handle["width"] / 2 - 150, handle["y"] + handle["height"] / 2, steps=5)
    page.mouse.up()
    left = [float(re.findall(r"([\d.]+)%", text)[-1]) for text in (clip, after.evaluate("i => i.style.clipPath"))]
    assert left[0] == 50
    assert left[1] < 40
    assert page.locator("#slider").screenshot() != seen

    pixels = downloaded(page, tmp_path / "result.png")
    expected = DemoProcessor(InferenceOptions(page_device(), 1 << 31), 1).enhance(
        read_photo(photos / "damaged.jpg"), Choice()
    )
    assert np.array_equal(pixels, expected.after.pixels)


def page_device() -> Any:
    import torch

    return torch.device("cpu")


def test_method_and_quality_factor(visit, photos, tmp_path):
    page = visit()
    send(page, photos / "damaged.jpg")
    enhanced(page, "restore-color")
    assert not page.locator("#qf").is_visible()
    choose(page, "#method", "FBCNN")
    enhanced(page, "according to the network it looks like JPEG quality")
    assert page.locator("#weights").is_visible()
    page.get_by_label("Estimate the quality factor").uncheck()
    page.locator("#qf").wait_for()
    before = page.locator("#slider img").nth(1).get_attribute("src")
    slide(page, "#qf", 0.0)
    page.wait_for_function("src => document.querySelectorAll('#slider img')[1]?.src != src", arg=before)
    wait_idle(page)
    low = downloaded(page, tmp_path / "low.png").astype(int)
    slide(page, "#qf", 1.0)
    page.wait_for_timeout(300)
    wait_idle(page)
    high = downloaded(page, tmp_path / "high.png").astype(int)
    sent = read_photo(photos / "damaged.jpg").pixels
    assert np.abs(low - sent).mean() > 1.2 * np.abs(high - sent).mean()


def test_weights_that_are_named(visit, root, photos, tmp_path):
    path = tmp_path / "mine.safetensors"
    shutil.copy(root / "weights/fbcnn-bsds500-color.safetensors", path)
    with served(root, tmp_path, "--weights", str(path)) as (address, _):
        page = visit(address=address)
        assert page.locator("#method input").input_value() == "mine"
        assert page.locator("#estimate").is_visible()
        send(page, photos / "damaged.jpg")
        enhanced(page, "FBCNN, 1,685,764 parameters, mine")
        choose(page, "#method", "automatic")
        enhanced(page, "restore-color")
        assert not page.locator("#estimate").is_visible()


def choose(page: Any, place: str, option: str) -> None:
    page.locator(f"{place} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def slide(page: Any, place: str, share: float) -> None:
    """Click into the slider at a share of its length."""
    box = page.locator(f"{place} input[type=range]").bounding_box()
    page.mouse.click(box["x"] + 2 + share * (box["width"] - 4), box["y"] + box["height"] / 2)


def wait_idle(page: Any) -> None:
    page.wait_for_function("!document.querySelector('#slider .wrap.generating, #slider .wrap:not(.hide).full')")


def test_compress_first(visit, photos):
    page = visit()
    send(page, photos / "clean.png")
    enhanced(page, "nothing is known of the damage in PNG files")
    assert "PSNR" not in page.locator("#outcome").inner_text()
    page.get_by_label("Compress the image first").check()
    enhanced(page, "JPEG QF 10")
    processor = DemoProcessor(InferenceOptions(page_device(), 1 << 31), 1)
    expected = processor.enhance(read_photo(photos / "clean.png"), Choice(codec="JPEG", quality=10)).scores
    said = page.locator("#outcome table").inner_text().split()
    for score, digits in zip(expected, (3, 4), strict=True):
        assert f"{score.before:.{digits}f}" in said
        assert f"{score.after:.{digits}f}" in said
    choose(page, "#codec", "HEVC")
    enhanced(page, "HEVC QP 37")
    assert "rbqe-bsds500-hevc" in page.locator("#outcome").inner_text()
    assert "lower is better" in page.locator("#quality").inner_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wrong.png", "wrong.png: no image, or of a format that is not known here"),
        ("large.png", "large.png: 1001x1000 pixels are more than 1,000,000; cut it into parts"),
    ],
)
def test_wrong_file(visit, photos, name, said):
    page = visit()
    send(page, photos / name)
    page.locator("[data-testid=toast-body]", has_text=said).wait_for()
    assert page.locator("#slider img").count() == 0
    assert page.locator("#save").is_disabled()
    page.locator("#source button[aria-label*=lear], #source button[aria-label*=emove]").first.click()
    send(page, photos / "damaged.jpg")  # and the page goes on
    enhanced(page, "restore-color")


def test_examples_and_phone(visit):
    """On a small screen nothing reaches beyond it, and the result comes before what can be set."""
    page = visit(390, 844)
    page.locator("#left .gallery-item, #left button.gallery-item").first.click()
    enhanced(page, "restore-color")
    page.get_by_label("Compress the image first").check()
    enhanced(page, "the uploaded image is not clean: a JPEG of quality 10")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    outside = "[...document.querySelectorAll('#parts *')].filter(e => e.getBoundingClientRect().right > 391).length"
    assert page.evaluate(outside) == 0
    places = [page.locator(place).bounding_box()["y"] for place in ("#source", "#slider", "#save", "#controls")]
    assert places == sorted(places)


def test_pasted_image(visit, photos):
    page = visit()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#source button[aria-label*=aste]").click()
    page.evaluate("""async bytes => {
        const blob = new Blob([new Uint8Array(bytes)], {type: 'image/png'});
        await navigator.clipboard.write([new ClipboardItem({'image/png': blob})]);
    }""", list((photos / "clean.png").read_bytes()))  # fmt: skip
    page.locator(
        "#source button.paste, #source button:has-text('Paste'), #source button[aria-label*=aste]"
    ).first.click()
    enhanced(page, "160 × 128")


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "weights/index.json", "../../../etc/passwd", "/proc/self/environ", "demo.py"]
)
def test_no_file_outside_its_folder_is_served(server, root, path):
    address, folder = server
    for name in (path, str(root / path)):
        answer = httpx.get(f"{address}/gradio_api/file={name}")
        assert answer.status_code in (403, 404), answer.text
    inside = next(folder.rglob("astronaut-qf10.jpg"))
    assert httpx.get(f"{address}/gradio_api/file={inside}").content == inside.read_bytes()  # this is how it is asked


def enhance_request(address: str, path: Any) -> dict[str, Any]:
    """What the page sends to have a file enhanced."""
    config = httpx.get(f"{address}/config").json()
    number = next(each["id"] for each in config["dependencies"] if each["api_name"] == "enhance")
    values = [{"path": path}, "", "", True, 30, False, False, "JPEG", 10]
    return {"data": values, "fn_index": number, "session_hash": uuid.uuid4().hex}


def outcome_of(visitor: httpx.Client, address: str, request: dict[str, Any]) -> dict[str, Any]:
    """Send such a request; the event at its end."""
    assert visitor.post(f"{address}/gradio_api/queue/join", json=request).status_code == 200
    query = {"session_hash": request["session_hash"]}
    with visitor.stream("GET", f"{address}/gradio_api/queue/data", params=query, timeout=60) as stream:
        events = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: ")]
    return next(event for event in events if event["msg"] == "process_completed")


def upload(visitor: httpx.Client, address: str, path: Path) -> str:
    answer = visitor.post(f"{address}/gradio_api/upload", files={"files": (path.name, path.read_bytes())})
    return answer.json()[0]


@pytest.mark.parametrize("meta", [{}, {"meta": {"_type": "gradio.FileData"}}, {"url": "http://127.0.0.2/a.png"}])
def test_only_ones_own_uploads_are_read(server, photos, meta):
    address, _ = server
    with httpx.Client() as one, httpx.Client() as other:
        own = upload(one, address, photos / "damaged.jpg")
        foreign = [str(photos / "clean.png"), "/dev/zero", f"{own}/../../examples/x", "", "a\0b", 5, [own]]
        for visitor, paths in ((one, foreign), (other, [*foreign, own])):
            for path in paths:
                request = enhance_request(address, path)
                request["data"][0] |= meta
                assert visitor.post(f"{address}/gradio_api/queue/join", json=request).status_code == 403
        if meta.get("url") is None:
            request = enhance_request(address, own)
            request["data"][0] |= meta
            done = outcome_of(one, address, request)
            assert done["success"]
            assert "160 × 128" in done["output"]["data"][1]
        link = f"{address}/gradio_api/file={own}"
        assert one.get(link).status_code == 200
        assert other.get(link).status_code == 404


def test_no_route_gives_a_foreign_file_away(server, tmp_path):
    """Every route that gradio has, with paths and addresses of foreign files wherever it takes something."""
    import gradio as gr

    secret = tmp_path / "secret.png"
    secret.write_bytes(b"SECRET" * 100)
    with gr.Blocks() as page:
        gr.Image()
    app, _, _ = page.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    routes = sorted({route.path for route in all_routes(app) if hasattr(route, "path")})
    page.close(verbose=False)
    assert len(routes) > 40
    assert {"/gradio_api/upload", "/gradio_api/file={path_or_url:path}"} <= set(routes)
    values = [str(secret), f"//{secret}", f"..%2f..%2f{secret}", f"{server[0]}/config", f"file://{secret}"]
    for route, value, method in itertools.product(routes, values, ("GET", "POST", "PUT", "DELETE")):
        url = server[0] + re.sub(r"\{.*?\}", lambda _, value=value: value, route)
        body = {} if method == "GET" else {"json": {"path": value, "data": [{"path": value}], "url": value}}
        with contextlib.suppress(httpx.ReadTimeout), httpx.stream(method, url, timeout=0.3, **body) as answer:
            if "event-stream" not in answer.headers.get("content-type", ""):
                answer.read()
                assert b"SECRET" not in answer.content, (method, url)
                assert b"dependencies" not in answer.content or answer.url.path in ("/", "/config"), (method, url)


def all_routes(app: Any) -> Iterator[Any]:
    for route in app.routes:
        yield route
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if getattr(inner, "routes", None):
            yield from all_routes(inner)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "attacker.example"}, 421),
        ({"host": "localhost.attacker.example:80"}, 421),
        ({"host": ""}, 421),
        ({"origin": "http://attacker.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:1234"}, 200),
        ({"host": "[::1]:80"}, 200),
    ],
)
def test_only_its_own_pages_are_served(server, headers, status):
    assert httpx.get(server[0], headers=headers).status_code == status


def test_all_uploads_together_have_a_bound_and_ctrl_c_removes_them(root, tmp_path):
    content = np.random.default_rng(0).integers(0, 256, 900_000, np.uint8).tobytes()
    options = ("--max-total", "2", "--allowed-host", "lab.example")
    with served(root, tmp_path, *options, number=signal.SIGINT) as (address, _):
        statuses = [
            httpx.post(f"{address}/gradio_api/upload", files={"files": (f"{number}.png", content + bytes([number]))})
            for number in range(3)
        ]
        assert [answer.status_code for answer in statuses] == [200, 200, 507]
        chunked = httpx.post(f"{address}/gradio_api/upload", content=iter([content]))
        assert chunked.status_code == 411
        large = httpx.post(f"{address}/gradio_api/queue/join", content=b"[" + b"1," * 100_000 + b"1]")
        assert large.status_code == 413
        assert httpx.get(address, headers={"host": "lab.example"}).status_code == 200
        assert list(tmp_path.glob("powerqe-demo-*"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_nothing_of_a_stopped_server_stays(root, tmp_path, photos, number):
    """Stopped while a network runs; what a killed one leaves is removed by the next."""
    image = tmp_path / "large.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (1000, 1000, 3), np.uint8)).save(image, quality=10)
    command = [sys.executable, "demo.py", "--device", "cpu"]
    with (tmp_path / "stderr").open("w+") as errors:
        with in_background(command, root, errors=errors, seconds=300, TMPDIR=str(tmp_path)) as process:
            assert process.stdout is not None
            address = process.stdout.readline().split()[2].rstrip("/")
            with httpx.Client() as visitor:
                request = enhance_request(address, upload(visitor, address, image))
                assert visitor.post(f"{address}/gradio_api/queue/join", json=request).status_code == 200
            time.sleep(0.5)
            process.send_signal(number)
            assert process.wait(30) == (-9 if number == signal.SIGKILL else 128 + number)
        if number == signal.SIGKILL:
            assert list(tmp_path.glob("powerqe-demo-*"))
            with served(root, tmp_path):
                assert len(list(tmp_path.glob("powerqe-demo-*"))) == 1
        assert not [*tmp_path.glob("powerqe-demo-*"), *tmp_path.glob(".powerqe-demo-*")]
        errors.seek(0)
        assert "Traceback" not in errors.read()


def test_files_larger_than_allowed_are_not_taken(server):
    content = np.random.default_rng(0).integers(0, 256, 2_100_000, np.uint8).tobytes()
    answer = httpx.post(f"{server[0]}/gradio_api/upload", files={"files": ("a.png", io.BytesIO(content))})
    assert answer.status_code == 413


def test_mistakes_of_the_command_line(run):
    for arguments, said in (
        (("--max-file", "none"), "found 'none', expected a number of MB"),
        (("--host", "300.1.1.1"), "cannot listen at 300.1.1.1"),
    ):
        done = run("demo.py", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_port_in_use(server, run):
    port = server[0].rpartition(":")[2]
    done = run("demo.py", "--port", port)
    assert (done.returncode, done.stdout) == (2, "")
    said = f"error: cannot listen at port {port} of 127.0.0.1 (Address already in use); "
    assert done.stderr == said + "change --host or --port\n"


def test_without_gradio(run, tmp_path):
    (tmp_path / "gradio.py").write_text("raise ImportError('not here')")
    done = run("demo.py", PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "error: the demo needs gradio (not here); install it: pip install 'powerqe[demo]'\n"
