"""What importing and using PowerQE does to a program that has other things to do, too: nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

import powerqe

_REPORT = """
import sys, warnings
import cv2, numpy, sympy, torch  # sympy is taken by PyTorch when it needs it, and adds a filter of its own
from PIL import Image, ImageFile

def settings():
    return (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters), cv2.getNumThreads(),
            getattr(cv2.utils, 'logging', cv2).getLogLevel(), torch.get_num_threads(), torch.get_default_dtype(),
            torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled(),
            torch.random.initial_seed(), numpy.geterr(), sys.excepthook)

before, state = settings(), torch.get_rng_state()
import powerqe.api
assert settings() == before, "importing"
assert torch.equal(torch.get_rng_state(), state)
image = numpy.arange(32 * 32 * 3).reshape(32, 32, 3).astype(numpy.uint8)
powerqe.enhance(powerqe.degrade(image, "JPEG", 10), weights="arcnn-bsds500-qf10", output="a.png")
powerqe.enhance("a.png", weights="arcnn-bsds500-qf10")
powerqe.create_metric("PSNR")
powerqe.create_network("ARCNN")
assert settings() == before, "using"
others = {"torchvision", "gradio", "matplotlib", "lpips", "pyiqa", "onnx", "tensorboard"}
assert not others & set(sys.modules), others & set(sys.modules)
"""


def _python(code: str, folder: Path, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(root), "PATH": "", "OMP_NUM_THREADS": "1", "HOME": str(folder)}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_no_setting_of_other_libraries_changes(tmp_path: Path, root: Path) -> None:
    done = _python(_REPORT, tmp_path, root)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_import_itself_is_light(tmp_path: Path, root: Path) -> None:
    heavy = "['torch', 'numpy', 'cv2', 'PIL', 'pydantic', 'yaml']"
    code = f"import sys, powerqe; print([name for name in {heavy} if name in sys.modules], powerqe.__version__)"
    assert _python(code, tmp_path, root).stdout.split() == ["[]", powerqe.__version__]


@pytest.mark.slow
def test_the_command_imports_what_an_image_needs(tmp_path: Path, root: Path) -> None:
    """Of a JPEG file: no video, no option files, only the networks that may be the best, and no compiler of PyTorch."""
    unneeded = ["torch._dynamo", "torch.onnx", "sympy", "av", "lmdb", "skimage", "matplotlib", "tensorboard"]
    unneeded += [f"powerqe.{name}" for name in ("utils.options.tree", "utils.video.container", "utils.metrics")]
    unneeded += ["powerqe.net.esrgan", "powerqe.net.mfqe", "powerqe.evaluation", "PIL.TiffImagePlugin"]
    code = f"""
import sys, cv2, numpy
from powerqe import cli
image = numpy.arange(64 * 64 * 3, dtype=numpy.uint8).reshape(64, 64, 3)
for quality in (10, 30):
    cv2.imwrite(f"{{quality}}.jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
assert not cli.main(["enhance", "10.jpg", "30.jpg", "--device", "cpu"])
print([name for name in {unneeded} if name in sys.modules])
"""
    assert _python(code, tmp_path, root).stdout.splitlines()[2:] == ["[]"]


def test_what_is_public_is_there() -> None:
    assert dir(powerqe) == sorted(powerqe.__all__)
    assert all(getattr(powerqe, name) is not None for name in powerqe.__all__)
    assert not hasattr(powerqe, "enhanced")
