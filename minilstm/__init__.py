"""minilstm: LSTM text classifiers from scratch, to learn from.

Every forward and backward pass is written by hand in NumPy, has a numba twin where that pays, and is proven by
gradient checks. Read the files in this order:

    text.py               from texts to token ids (to use; no need to study it)
    layer.py              the contract that every layer keeps
    activations.py        tanh, sigmoid, relu and their derivatives
    initializers.py       how weights start
    layers/embedding.py   words become vectors
    layers/lstm.py        the heart of it: eight equations, forward and backward
    layers/dense.py       vectors become a verdict
    layers/dropout.py     a cure for learning by heart
    losses.py             how wrong is the verdict
    model.py              layers in a row; the chain rule in five lines
    optimizers.py         from gradient to step
    training.py           fit, evaluate, predict
    callbacks.py          what happens beside the training: history, early stopping, progress
    gradcheck.py          how all of it is proven
    kernels.py            the same loops, fast
"""

from minilstm import callbacks, losses, optimizers
from minilstm.callbacks import Callback, EarlyStopping, History
from minilstm.kernels import use_numba
from minilstm.layer import Layer
from minilstm.layers import LSTM, Dense, Dropout, Embedding
from minilstm.model import Sequential
from minilstm.optimizers import SGD, Adam, RMSprop
from minilstm.text import Tokenizer, pad_sequences

__version__ = "0.1.0"

__all__ = [
    "LSTM",
    "SGD",
    "Adam",
    "Callback",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "History",
    "Layer",
    "RMSprop",
    "Sequential",
    "Tokenizer",
    "callbacks",
    "losses",
    "optimizers",
    "pad_sequences",
    "use_numba",
]
