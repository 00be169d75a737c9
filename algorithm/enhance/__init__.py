"""Enhancing files: what `python enhance.py` does, and demo.py."""
