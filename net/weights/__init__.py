"""Weights: out of files and into them (`files`), and by name, as `weights/index.json` lists them (`index`)."""

from powerqe.net.weights.cards import Entry, Figure, Qualities
from powerqe.net.weights.index import entries, find
from powerqe.net.weights.state_dicts import is_under, load_weights, numbered, read_metadata, renamed, save_weights, spec

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
