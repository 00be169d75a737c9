"""Nothing of ours needs POSIX: all is imported, and enhance, train and test run, without what Windows lacks.

This shows what our code asks for, not that PyTorch and the others work there.
"""

import subprocess
import sys

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow

SCRIPT = """
import builtins, importlib, os, pkgutil, signal, sys, warnings

import av, cv2, lmdb, matplotlib.pyplot, PIL.Image, pydantic, safetensors.torch, skimage.metrics, torch
import torch.utils.tensorboard, torchvision, tqdm

POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
found = builtins.__import__


def imported(name, globals=None, *rest):
    if name in POSIX and (globals or {}).get("__name__", "").startswith("powerqe"):
        raise ImportError(f"{name} is not there")
    return found(name, globals, *rest)


builtins.__import__ = imported
for module, names in {
    os: "fork forkpty getuid geteuid getgid getpgid killpg setsid sysconf uname sched_getaffinity getloadavg fchmod "
        "mkfifo O_DIRECTORY chown posix_fadvise posix_fallocate",
    signal: "SIGHUP SIGKILL SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGPIPE SIGCHLD alarm setitimer pthread_kill "
        "pthread_sigmask",
}.items():
    for name in names.split():
        delattr(module, name)
opened = os.open


def open_file(path, *rest, **named):
    if os.path.isdir(path):
        raise PermissionError(13, "Permission denied", path)
    return opened(path, *rest, **named)


os.open = open_file
warnings.filterwarnings("error", category=EncodingWarning, module="powerqe")

import powerqe
from powerqe import cli

ROOMS = "algorithm arguments commands data_pre_process dataset evaluation inference net utils".split()
rooms = [importlib.import_module(f"powerqe.{room}") for room in ROOMS]
walked = (each.name for room in rooms for each in pkgutil.walk_packages(room.__path__, f"{room.__name__}."))
ours = [name for name in walked if not name.rpartition(".")[2].startswith(("__main__", "powerqe_dcn_"))]
for name in ours:
    importlib.import_module(name)
opt = sys.argv[1]
for words in (["enhance", "photo.jpg", "--device", "cpu"], ["train", "--opt", opt], ["test", "--opt", opt]):
    assert cli.main(words) == 0, words
print(len(ours))
"""


def test_without_posix(opt, tmp_path, root):
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (5, 6, 3), dtype=np.uint8), (48, 40))
    cv2.imwrite(str(tmp_path / "photo.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 10])
    command = [sys.executable, "-X", "warn_default_encoding", "-c", SCRIPT, str(opt)]
    environment = {"PYTHONPATH": str(root), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) > 150
    assert (tmp_path / "enhanced/photo.png").is_file()
    assert (tmp_path / "exp/tiny-c/results.json").is_file()
