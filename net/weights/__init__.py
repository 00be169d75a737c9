"""Weights: out of files and into them (`files`), and by name, as `weights/index.json` lists them (`index`)."""

from powerqe.net.weights.entry import Entry, Figure, Qualities, Training
from powerqe.net.weights.index import entries, find
from powerqe.net.weights.names import State, count, enlargement, is_under, layers_of, numbered, renamed
from powerqe.net.weights.read import read_metadata
from powerqe.net.weights.state_dicts import load_weights, save_weights, spec

__all__ = [
    "Entry",
    "Figure",
    "Qualities",
    "State",
    "Training",
    "count",
    "enlargement",
    "entries",
    "find",
    "is_under",
    "layers_of",
    "load_weights",
    "numbered",
    "read_metadata",
    "renamed",
    "save_weights",
    "spec",
]
