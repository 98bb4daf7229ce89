"""The made-up reviews: balanced, repeatable, and beyond a model that only counts words."""

import re

import numpy as np
import pytest

from minilstm.data import builtin, load_builtin
from minilstm.data.text import Tokenizer


def own_opinions(review):
    """The writer's own opinions in order, 1 for kind and 0 for unkind, read off the text by other means."""
    opinions = []
    for clause in re.split(r"[.,] ?", review.lower()):
        opinion = re.search(r"\bwas (not )?(\w+)$", clause)
        by_others = any(f"{who} t" in clause or f"for {who}" in clause for who in builtin.PEOPLE)
        if opinion and opinion[2] in builtin.KIND + builtin.UNKIND and not by_others:
            opinions.append(int((opinion[2] in builtin.KIND) != bool(opinion[1])))
    return opinions


@pytest.fixture(scope="module")
def parts():
    return load_builtin(reviews=2000, seed=3)


def test_two_parts_of_texts_and_labels_of_the_asked_size(parts):
    for texts, labels in parts:
        assert len(texts) == 2000
        assert all(isinstance(text, str) for text in texts)
        assert labels.dtype == np.int64
        assert labels.shape == (2000,)


def test_labels_are_exactly_balanced_and_mixed(parts):
    for _, labels in parts:
        assert labels.sum() == 1000
        assert 400 < labels[:1000].sum() < 600
        assert 400 < labels[::2].sum() < 600


def test_of_an_odd_number_one_more_is_positive():
    (_, y_train), (_, y_test) = load_builtin(reviews=7)
    assert y_train.sum() == y_test.sum() == 4


def test_no_text_occurs_twice(parts):
    (X_train, _), (X_test, _) = parts
    assert len({*X_train, *X_test}) == 4000


def test_the_same_seed_gives_the_same_reviews_and_another_seed_others():
    (X, y), _ = load_builtin(reviews=50, seed=1)
    (X_again, y_again), _ = load_builtin(reviews=50, seed=1)
    (X_other, _), _ = load_builtin(reviews=50, seed=2)
    assert X_again == X
    assert y.tolist() == y_again.tolist()
    assert not set(X) & set(X_other)


def test_every_label_follows_from_the_writers_own_last_opinion(parts):
    for texts, labels in parts:
        assert [own_opinions(text)[-1] for text in texts] == labels.tolist()


def test_two_opinions_of_the_writer_agree_as_often_as_not(parts):
    (X_train, _), _ = parts
    two = [opinions for opinions in map(own_opinions, X_train) if len(opinions) == 2]
    assert 1200 < len(two) < 1450
    assert 0.45 < np.mean([first == last for first, last in two]) < 0.55


def test_the_examples_of_the_docstring_have_the_labels_it_says():
    examples = re.findall(r"^    ([01])  (.+)$", builtin.__doc__, flags=re.MULTILINE)
    assert len(examples) == 3
    assert all(own_opinions(text)[-1] == int(label) for label, text in examples)
    first, second = (sorted(re.findall(r"\w+", text.lower())) for _, text in examples[:2])
    assert first == second


def test_reviews_are_short_and_their_words_few(parts):
    (X_train, _), _ = parts
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(X_train)
    lengths = [len(sequence) for sequence in tokenizer.texts_to_sequences(X_train)]
    assert min(lengths) >= 10
    assert max(lengths) <= 41
    assert len(tokenizer.word_index) in range(100, 120)


def test_sentences_start_with_a_capital_and_end_with_a_full_stop(parts):
    (X_train, _), _ = parts
    assert all(re.fullmatch(r"([A-Z][\w ,]+\.)( [A-Z][\w ,]+\.)+", text) for text in X_train)


@pytest.mark.parametrize("mode", ["count", "tfidf"])
def test_the_best_linear_model_over_bags_of_words_stays_far_behind(parts, mode):
    (X_train, y_train), (X_test, y_test) = parts
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(X_train)
    train, test = (tokenizer.texts_to_matrix(X, mode=mode) for X in (X_train, X_test))
    weights, *_ = np.linalg.lstsq(train, y_train - 0.5, rcond=None)
    assert 0.5 < np.mean((test @ weights > 0) == y_test) < 0.65


def test_fewer_than_two_reviews_are_refused():
    with pytest.raises(ValueError, match=r"reviews must be an integer of at least 2.*got 1"):
        load_builtin(reviews=1)
