"""Code of other packages: what it says when it fails."""

import urllib.error

import pytest

from powerqe.utils.metrics import MetricUnavailable
from powerqe.utils.metrics.foreign import foreign


def reason(error: Exception, said: str = "") -> str:
    @foreign("What was tried")
    def fail() -> None:
        print(said)
        raise error

    with pytest.raises(MetricUnavailable) as caught:
        fail()
    return str(caught.value)


def test_a_failure_is_one_line():
    assert reason(ValueError("two\n  lines")) == "What was tried: two lines"
    assert reason(KeyError("no such name")) == "What was tried: no such name"
    assert reason(RuntimeError()) == "What was tried: RuntimeError"
    assert len(reason(RuntimeError("x" * 1000))) < 250


def test_a_failed_download_names_the_path_of_its_file():
    said = "".join(f'Downloading: "https://a.invalid/{k}.pth" to /cache/{k}.pth\n' for k in (1, 2))
    refused = urllib.error.URLError("refused")
    assert reason(refused, said).endswith("refused>; without network, save https://a.invalid/2.pth as /cache/2.pth")
    assert reason(refused) == "What was tried: <urlopen error refused>"
    assert reason(ValueError("damaged"), said) == "What was tried: damaged"  # after a download that went well


def test_a_reason_that_is_known_already_stays():
    assert reason(MetricUnavailable("not installed")) == "not installed"
