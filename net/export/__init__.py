"""Networks as ONNX files, for programs without PyTorch: `powerqe export NAME`."""

from powerqe.net.export.onnx_file import OnnxFile, export, one_size

__all__ = ["OnnxFile", "export", "one_size"]
