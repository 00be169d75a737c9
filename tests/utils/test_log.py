from pathlib import Path

import pytest

from powerqe.utils.log import logger, start_log, stop_log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_costs_lines_of_the_log_only(capfd: pytest.CaptureFixture[str]) -> None:
    start_log(Path("/dev/full"), timed=False)
    for number in range(3):
        logger.info("line %s", number)
    stop_log()
    captured = capfd.readouterr()
    assert captured.out.split("\n") == ["line 0", "line 1", "line 2", ""]
    assert captured.err.count("\n") == 1
    assert "/dev/full" in captured.err
