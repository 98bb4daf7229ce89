"""minilstm: LSTM text classifiers from scratch, to learn from.

Every forward and backward pass is written by hand in NumPy, has a numba twin where that pays, and is proven by
gradient checks. Read the files in this order:

    text.py               from texts to token ids (to use; no need to study it)
    layer.py              the contract that every layer keeps
    activations.py        tanh, sigmoid, relu and their derivatives
    initializers.py       how weights start
    layers/embedding.py   words become vectors
    words.py              each distinct word of a batch but once
    layers/lstm.py        the heart of it: eight equations, forward and backward
    layers/bidirectional.py   two of them, in both directions
    layers/dense.py       vectors become a verdict
    layers/dropout.py     a cure for learning by heart
    layers/conv1d.py      short phrases, wherever they stand; before it windows.py, after it pooling.py
    layers/flatten.py     and activation.py, which hardly compute
    losses.py             how wrong is the verdict
    model.py              layers in a row; the chain rule in five lines
    optimizers.py         from gradient to step
    training.py           fit, evaluate, predict
    callbacks.py          what happens beside the training: history, early stopping, learning rate, progress
    gradcheck.py          how all of it is proven
    kernels.py            the same loops, fast
"""

from minilstm import callbacks, losses, optimizers
from minilstm.callbacks import Callback, EarlyStopping, History, OneCycle
from minilstm.fast import textbook, use_numba
from minilstm.layers import (
    LSTM,
    Activation,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
)
from minilstm.layers.base import Layer
from minilstm.model import Sequential
from minilstm.optimizers import SGD, Adam, RMSprop
from minilstm.text import Tokenizer, pad_sequences
from minilstm.tools.checkpoint import ModelCheckpoint
from minilstm.tools.diagnose import diagnose
from minilstm.tools.guard import NotFiniteError

__version__ = "0.1.0"

__all__ = [
    "LSTM",
    "SGD",
    "Activation",
    "Adam",
    "AveragePooling1D",
    "Bidirectional",
    "Callback",
    "Conv1D",
    "Dense",
    "Dropout",
    "EarlyStopping",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "History",
    "Layer",
    "MaxPooling1D",
    "ModelCheckpoint",
    "NotFiniteError",
    "OneCycle",
    "RMSprop",
    "Sequential",
    "Tokenizer",
    "callbacks",
    "diagnose",
    "losses",
    "optimizers",
    "pad_sequences",
    "textbook",
    "use_numba",
]
