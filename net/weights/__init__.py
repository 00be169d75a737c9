"""Weights: out of files and into them (`files`), and by name, as `weights/index.json` lists them (`index`)."""

from net.weights.card import Entry, Figure, Qualities
from net.weights.files import is_under, load_weights, numbered, read_metadata, renamed, save_weights, spec
from net.weights.index import entries, find

__all__ = [
    "Entry",
    "Figure",
    "Qualities",
    "entries",
    "find",
    "is_under",
    "load_weights",
    "numbered",
    "read_metadata",
    "renamed",
    "save_weights",
    "spec",
]
