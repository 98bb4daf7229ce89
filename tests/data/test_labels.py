"""What is held out for validation, and in which order labels come."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm.data.labels import hold_out, shorten, sort_labels


@given(st.lists(st.integers(2, 40), min_size=2, max_size=5), st.integers(0, 9))
def test_a_tenth_of_each_label_but_at_least_one_is_held_out(counts, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    held_out = hold_out([f"text {n}" for n in range(len(y))], y.astype(str).tolist(), 0.1, seed)
    assert np.bincount(y[held_out]).tolist() == [max(1, round(count / 10)) for count in counts]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 60)), min_size=60, max_size=300), st.integers(0, 9))
def test_copies_of_a_text_are_never_on_both_sides(pairs, seed):
    texts, labels = [f"{label}{n}" for label, n in pairs], [label for label, _ in pairs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        held_out = hold_out(texts, labels, 0.1, seed)
    kept, out = ({text for text, part in zip(texts, held_out, strict=True) if part == side} for side in (False, True))
    for label in "abc":
        if len({text for text in texts if text[0] == label}) > 1:
            assert not {text for text in kept & out if text[0] == label}


def test_of_texts_that_all_occur_five_times_a_tenth_is_held_out_too():
    texts = [f"text {n % 200}" for n in range(1000)]
    held_out = hold_out(texts, ["ab"[n % 2] for n in range(1000)], 0.1, 0)
    assert held_out.sum() == 100
    assert len({text for text, out in zip(texts, held_out, strict=True) if out}) == 20


def test_if_even_the_smallest_group_of_copies_is_more_than_a_tenth_it_is_held_out():
    texts = [*"xxxxxyyyzzzzzz", "u", "v"]
    held_out = hold_out(texts, [*"aaaaaaaaaaaaaabb"], 0.1, 0)
    assert [text for text, out in zip(texts, held_out, strict=True) if out and text in "xyz"] == ["y"] * 3


def test_copies_that_cannot_be_kept_apart_are_counted():
    with pytest.warns(
        UserWarning, match="1 of 2 held-out texts are also in the training part, because a label has just"
    ):
        assert hold_out(["x", "x", "x", "y", "z"], [*"aaabb"], 0.1, 0).sum() == 2


def test_numbers_come_first_and_by_value_and_other_labels_as_text():
    assert sort_labels(["10", "9", "2.5", "-1"]) == ["-1", "2.5", "9", "10"]
    assert sort_labels(["b", "10", "a", "9", "B", "nan"]) == ["9", "10", "B", "a", "b", "nan"]


def test_many_labels_are_shortened_in_messages():
    assert shorten(["a", "b"]) == "a, b"
    assert shorten([str(n) for n in range(120)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 108 more"
