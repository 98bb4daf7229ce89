"""The layers, one file a concept: equations, forward, backward, cache, class, in that order in each.

A forward function takes x, the parameters, the lengths and then the settings; it returns ``y, cache``. A backward
function takes ``dy, cache`` and returns ``dx, grads``, and more where there is more.

Read ``embedding.py`` first, since it is short, then ``lstm.py``, for which the project exists.
"""

from minilstm.layers.activation import Activation
from minilstm.layers.bidirectional import Bidirectional
from minilstm.layers.conv1d import Conv1D
from minilstm.layers.dense import Dense
from minilstm.layers.dropout import Dropout
from minilstm.layers.embedding import Embedding
from minilstm.layers.flatten import Flatten
from minilstm.layers.lstm import LSTM
from minilstm.layers.pooling import AveragePooling1D, GlobalAveragePooling1D, GlobalMaxPooling1D, MaxPooling1D

__all__ = [
    "LSTM",
    "Activation",
    "AveragePooling1D",
    "Bidirectional",
    "Conv1D",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "GlobalAveragePooling1D",
    "GlobalMaxPooling1D",
    "MaxPooling1D",
]
