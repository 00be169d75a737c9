"""Weights: out of files and into them (`files`), and by name, as `weights/index.json` lists them (`index`)."""

from powerqe.net.weights.card import Entry, Figure, Qualities
from powerqe.net.weights.files import is_under, load_weights, numbered, read_metadata, renamed, save_weights, spec
from powerqe.net.weights.index import entries, find

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
