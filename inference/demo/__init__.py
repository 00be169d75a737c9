"""The web page of `powerqe demo`: processing of images (processing.py), user interface (interface.py), server."""
