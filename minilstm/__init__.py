"""minilstm: LSTM text classifiers from scratch, to learn from.

Every forward and backward pass is written by hand in NumPy and checked. Read the files in this order:

    layers/base.py            the interface that every layer implements, and the rules of padding
    activations.py            tanh, sigmoid, relu, softmax and their derivatives
    initializers.py           how weights start
    layers/dropout.py         against overfitting
    layers/embedding.py       words become vectors
    layers/lstm.py            the heart of it: four equations forward, five back
    layers/bidirectional.py   two of them, in both directions
    layers/dense.py           vectors become a prediction
    layers/flatten.py         steps laid end to end
    layers/windows.py         the geometry of windows over time
    layers/conv1d.py          short phrases, wherever they occur
    layers/pooling.py         the largest or the mean of a window
    losses.py                 how wrong the prediction is
    optimizers.py             from gradient to step
    model.py                  layers in a row
    training.py               the chain rule in five lines; fit, evaluate, predict
    gradcheck.py              how all of it is checked

Around the lesson: ``data/`` turns texts into padded batches, ``runs/`` has callbacks, checkpoints and model files,
``explain/`` looks into a trained model, ``fast/`` computes the same faster, ``tools/`` has the command line and what
finds mistakes.
"""

from minilstm.tools import startup as startup  # isort: split

from minilstm import losses, optimizers
from minilstm.data.text import Tokenizer
from minilstm.fast import textbook, use_numba
from minilstm.keras.sequences import pad_sequences
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
from minilstm.runs import callbacks
from minilstm.runs.callbacks import Callback, EarlyStopping, History, OneCycle
from minilstm.runs.checkpoint import ModelCheckpoint
from minilstm.runs.nonfinite import NotFiniteError
from minilstm.tools.diagnose import diagnose
from minilstm.version import __version__ as __version__

__all__ = [
    "LSTM", "SGD", "Activation", "Adam", "AveragePooling1D", "Bidirectional", "Callback", "Conv1D", "Dense", "Dropout",
    "EarlyStopping", "Embedding", "Flatten", "GlobalAveragePooling1D", "GlobalMaxPooling1D", "History", "Layer",
    "MaxPooling1D", "ModelCheckpoint", "NotFiniteError", "OneCycle", "RMSprop", "Sequential", "Tokenizer", "callbacks",
    "diagnose", "losses", "optimizers", "pad_sequences", "textbook", "use_numba",
]  # fmt: skip
