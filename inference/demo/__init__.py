"""The web page of `powerqe demo`: what it does with an image (processing.py), and its parts (interface.py)."""
