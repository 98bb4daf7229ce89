"""Texts and labels from various sources, and everything up to the padded batches that a model reads."""

from minilstm.data.builtin import load_builtin
from minilstm.data.imdb import download_imdb, load_imdb

__all__ = ["download_imdb", "load_builtin", "load_imdb"]
