"""Networks as ONNX files, for programs without PyTorch: `python -m powerqe.net.export NAME`."""

from powerqe.net.export.onnx_file import OnnxFile, export, one_size

__all__ = ["OnnxFile", "export", "one_size"]
