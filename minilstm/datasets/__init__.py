"""Reviews to learn from: 50,000 real ones of films, and made-up ones that need no download."""

from minilstm.datasets.builtin import load_builtin
from minilstm.datasets.imdb import download_imdb, load_imdb

__all__ = ["download_imdb", "load_builtin", "load_imdb"]
