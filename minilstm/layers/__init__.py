"""The layers, one concept per file: equations, cache, forward, backward, class, in that order.

A forward function takes x, the parameters, the lengths and then the settings; it returns ``y, cache``. A backward
function takes ``dy, cache`` and returns ``dx, grads``; those of LSTM and Bidirectional take and return more.
Read ``embedding.py`` first, since it is short, then ``lstm.py``, for which the project exists.
"""

from minilstm.layers.bidirectional import Bidirectional as Bidirectional
from minilstm.layers.conv1d import Conv1D as Conv1D
from minilstm.layers.dense import Activation as Activation
from minilstm.layers.dense import Dense as Dense
from minilstm.layers.dropout import Dropout as Dropout
from minilstm.layers.embedding import Embedding as Embedding
from minilstm.layers.flatten import Flatten as Flatten
from minilstm.layers.lstm import LSTM as LSTM
from minilstm.layers.pooling import AveragePooling1D as AveragePooling1D
from minilstm.layers.pooling import GlobalAveragePooling1D as GlobalAveragePooling1D
from minilstm.layers.pooling import GlobalMaxPooling1D as GlobalMaxPooling1D
from minilstm.layers.pooling import MaxPooling1D as MaxPooling1D

__all__ = [name for name in dir() if name[0].isupper()]
