"""Look into a trained model: traces of one text, attributions, plots, and a page that shows both."""

from minilstm.explain.page import write_page
from minilstm.explain.plot import plot_trace
from minilstm.explain.reader import untrained
from minilstm.explain.trace import Trace, trace

__all__ = ["Trace", "plot_trace", "trace", "untrained", "write_page"]
