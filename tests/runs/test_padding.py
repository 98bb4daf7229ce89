"""A model remembers whether it was trained on padded texts, and says so where it is asked about others."""

import warnings

import numpy as np
import pytest

from minilstm import LSTM, Dense, Embedding, ModelCheckpoint, Sequential, pad_sequences

RNG = np.random.default_rng(0)
LISTS = [RNG.integers(1, 20, n) for n in (3, 5, 2, 7)]
PADDED = pad_sequences(LISTS, 9)
FULL = RNG.integers(1, 20, (4, 9))  # without padding, so the model reads it as it reads lists
Y = np.array([0, 1, 0, 1])
KINDS = {"lists": LISTS, "padded": PADDED}


def trained(x, *callbacks, **settings):
    model = Sequential([Embedding(20, 4, **settings), LSTM(3), Dense(1, "sigmoid")], seed=0)
    model.compile()
    model.fit(x, Y, verbose=0, callbacks=list(callbacks))
    return model


@pytest.mark.parametrize(
    ("before", "now", "message"),
    [
        ("padded", "lists", "trained on arrays padded to 9 tokens, but x has no padding; pad it alike"),
        ("lists", "padded", "trained on texts without padding, but x is padded to 9 tokens; leave out pad_sequences"),
    ],
)
def test_other_samples_than_in_training_are_warned_of_once_a_call(before, now, message, tmp_path):
    model = trained(KINDS[before], ModelCheckpoint(tmp_path / "run.safetensors"))
    model.save(tmp_path / "model.safetensors")
    for one in (model, *(Sequential.load(tmp_path / f"{name}.safetensors") for name in ("model", "run"))):
        for call in (lambda m: m.predict(KINDS[now]), lambda m: m.evaluate(KINDS[now], Y)):
            with pytest.warns(UserWarning, match=message) as caught:
                call(one)
            assert len(caught) == 1


AFTER = np.ascontiguousarray(PADDED[:, ::-1])  # padding after the text
ALIKE = {
    "lists": (LISTS, [LISTS, LISTS[:1], FULL]),
    "padded": (PADDED, [PADDED, AFTER, list(PADDED), PADDED[:1], FULL]),
    "padded after the text": (AFTER, [PADDED, AFTER]),
    "a list of padded rows": (list(PADDED), [PADDED, list(PADDED)]),
    "full rows": (FULL, [LISTS, PADDED, FULL]),
}


@pytest.mark.parametrize("name", ALIKE)
def test_the_same_kind_of_samples_is_not_warned_of_nor_one_that_is_read_alike(name):
    x, others = ALIKE[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = trained(x)
        for other in others:
            model.predict(other, verbose=0)


@pytest.mark.parametrize("settings", [{"mask_zero": True}, {"input_length": 9}])
def test_where_padding_is_masked_or_the_length_is_fixed_there_is_nothing_to_remember(settings):
    model = trained(PADDED, **settings)
    assert model.metadata == {}
    model.predict(list(PADDED), verbose=0)


def test_what_is_remembered_is_added_to_other_metadata():
    mine = {"labels": ["no", "yes"]}
    model = Sequential([Embedding(20, 4), LSTM(3), Dense(1, "sigmoid")])
    model.compile()
    model.metadata = mine
    for x in (PADDED, FULL):
        model.fit(x, Y, verbose=0)
        assert model.metadata == {"labels": ["no", "yes"], "padded_to": 9}
    with pytest.warns(UserWarning, match="trained on arrays padded"):
        model.fit(LISTS, Y, verbose=0)
    assert model.metadata == {"labels": ["no", "yes"], "padded_to": 0}
    assert mine == {"labels": ["no", "yes"]}
