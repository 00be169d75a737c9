import platform

import torch

from powerqe.utils import machine


def test_the_processor_has_a_name_with_and_without_linux(monkeypatch, tmp_path) -> None:
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "Path", lambda _: info)
    monkeypatch.setattr(platform, "processor", lambda: "")
    monkeypatch.setattr(platform, "machine", lambda: "riscv")
    assert machine.processor() == "riscv"
    info.write_text("processor\t: 0\nmodel name\t: Fast: 3 GHz\nmodel name\t: Other\n")
    assert machine.device_name(torch.device("cpu")) == "Fast: 3 GHz"
