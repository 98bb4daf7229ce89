"""The picture of a trace."""

import sys

import numpy as np
import pytest
from test_trace import MODELS, TEXT, make

from minilstm.explain import plot_trace, trace

pytest.importorskip("matplotlib", reason="plots need matplotlib: pip install -e '.[demos]'")


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_drawn(name):
    t = trace(make(name), TEXT)
    figure = plot_trace(t)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[0].startswith("probability of positive: ")
    assert any("forget gate" in title for title in titles) == bool(t.lstms)
    figure.canvas.draw()


def test_the_picture_shows_the_numbers_of_the_trace():
    t = trace(make("bidirectional"), TEXT)
    figure = plot_trace(t, lstm="bidirectional.backward")
    by_title = {axes.get_title(loc="left"): axes for axes in figure.axes}
    running = figure.axes[0].lines[1].get_ydata()
    assert np.array_equal(running, t["logit"][1:])
    (image,) = by_title["bidirectional.backward: forget gate: how much to keep, a row for each unit"].images
    assert np.array_equal(image.get_array(), t["bidirectional.backward.f"].T)
    assert [label.get_text() for label in figure.axes[1].get_xticklabels()] == list(t.tokens)


def test_of_a_long_text_the_last_60_words_are_drawn():
    model = make("lstm")
    model.metadata["maxlen"] = 100
    figure = plot_trace(trace(model, "the $plot$ was dull. " * 25))
    assert len(figure.axes[1].get_xticklabels()) == 60
    figure.canvas.draw()  # a dollar sign does not begin a formula


def test_what_cannot_be_drawn_is_an_error(monkeypatch):
    t = trace(make("lstm"), TEXT)
    with pytest.raises(ValueError, match="lstm='gru' is unknown; choose one of 'lstm'"):
        plot_trace(t, lstm="gru")
    with pytest.raises(ValueError, match="no known words, so there is nothing to draw"):
        plot_trace(trace(make("lstm"), "zebra"))
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ModuleNotFoundError, match="pip install matplotlib"):
        plot_trace(t)
