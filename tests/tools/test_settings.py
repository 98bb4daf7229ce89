"""How the command line chooses settings and weights."""

from types import SimpleNamespace

import pytest

from minilstm.tools.settings import BestOrLast, settings_for


@pytest.mark.parametrize(
    ("texts", "epochs", "vocab_size", "word_dropout"),
    [(40, 30, 2000, 0.4), (6212, 7, 3106, 0.4), (21_389, 5, 10_694, 0.2), (10**6, 5, 30_000, 0.2)],
)
def test_few_texts_get_few_words_more_epochs_and_more_word_dropout(texts, epochs, vocab_size, word_dropout):
    settings = settings_for("own", texts)
    assert (settings["epochs"], settings["vocab_size"]) == (epochs, vocab_size)
    assert settings["word_dropout"] == word_dropout


def weights_after(accuracies, N):
    """The weights that are kept if those of epoch n are n, and its accuracy."""
    keep, model = BestOrLast(len(accuracies), N), SimpleNamespace()
    model.history = SimpleNamespace(history={"val_accuracy": []})
    model.get_weights = lambda: [model.n]
    model.set_weights = lambda weights: setattr(model, "n", weights[0])
    keep.set_model(model)
    keep.on_train_begin()
    for model.n, accuracy in enumerate(accuracies):
        model.history.history["val_accuracy"].append(accuracy)
        keep.on_epoch_end(model.n, {"val_accuracy": accuracy})
    keep.on_train_end()
    return model.n, keep.kept


def test_a_lucky_epoch_is_not_kept_but_a_clearly_better_one_is():
    accuracies = [0.7, 0.9, 0.89]  # the standard error of 0.9 is 0.03 for 100 texts, and 0.003 for 10,000
    assert weights_after(accuracies, 100) == (2, 0.89)
    assert weights_after(accuracies, 10_000) == (1, 0.9)
