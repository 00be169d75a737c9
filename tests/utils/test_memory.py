import platform
import resource
import subprocess
import sys

import pytest

from powerqe.benchmarks.common import extra_memory
from powerqe.net import build_network
from powerqe.utils.errors import UserError

CHURN = """
import resource, sys
import numpy as np
from powerqe.utils.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
start = faults()
for _ in range(50):
    np.ones(8_000_000)  # 64 MB, above the largest threshold glibc chooses by itself
print(faults() - start)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has these settings")
@pytest.mark.slow
def test_pages_are_not_mapped_again(root):
    def faults(how: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", CHURN, how], cwd=root, capture_output=True, text=True, check=True, timeout=120
        )
        return int(done.stdout)

    assert resource.getpagesize() <= 65536
    assert faults("keep") < faults("default") / 2


@pytest.mark.parametrize(
    "spec",
    [
        {"hidden_channels": [10**6, 10**6], "kernel_sizes": [1, 7, 5]},
        {"hidden_channels": [10**9], "kernel_sizes": [1, 1]},
        {"hidden_channels": [1] * 10_000, "kernel_sizes": [1] * 10_001},
        {"hidden_channels": [10_000] * 50, "kernel_sizes": [11] * 51},
    ],
)
def test_a_network_that_does_not_fit_is_found_before_it_takes_memory(spec):
    def build():
        with pytest.raises(UserError, match="network ARCNN"):
            build_network({"type": "ARCNN", **spec})

    assert not extra_memory(build, times=1) >= 500e6  # NaN where the system does not tell
    build_network({"type": "ARCNN"})
