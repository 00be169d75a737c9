"""Networks as ONNX files, for programs without PyTorch: `python -m net.export NAME`."""

from net.export.onnx_file import SIZE_LIMIT, OnnxFile, export

__all__ = ["SIZE_LIMIT", "OnnxFile", "export"]
