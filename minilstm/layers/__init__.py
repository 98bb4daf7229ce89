"""The layers, one file a concept: equations, forward, backward, cache, class, in that order in each.

A forward function takes x, the parameters, the lengths and then the settings; it returns ``y, cache``. A backward
function takes ``dy, cache`` and returns ``dx, grads``, and more where there is more.

Read ``embedding.py`` first, since it is short, then ``lstm.py``, for which the project exists.
"""

from minilstm.layers.dense import Dense
from minilstm.layers.dropout import Dropout
from minilstm.layers.embedding import Embedding
from minilstm.layers.lstm import LSTM

__all__ = ["LSTM", "Dense", "Dropout", "Embedding"]
