"""Networks as ONNX files, for programs without PyTorch: `python -m net.export NAME`."""

from net.export.onnx_file import OnnxFile, export, one_size

__all__ = ["OnnxFile", "export", "one_size"]
