"""How the command line trains: default settings for each kind of data, and which weights are kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from minilstm.runs.callbacks import EarlyStopping, Logs

OPTIONS = ("epochs", "vocab_size", "maxlen", "word_dropout", "dropout", "learning_rate")
SETTINGS: dict[str, dict[str, Any]] = {
    "imdb": dict(zip(OPTIONS, (8, 5000, 300, 0.3, 0.5, 0.002), strict=True)),
    "builtin": dict(zip(OPTIONS, (8, 200, 50, 0.0, 0.0, 0.005), strict=True)),
    "own": dict(zip(OPTIONS, ("5 to 30", "2000 to 30000", 300, "0.2 or 0.4", 0.5, 0.002), strict=True)),
}
"""For your own texts, :func:`settings_for` chooses within the ranges."""


def settings_for(kind: str, N: int) -> dict[str, Any]:
    """Return the default settings for N texts of a kind.

    A model overfits to words that occur in only one or two texts. So with fewer texts of your own, the vocabulary is
    smaller, half as many words as texts, and more words are dropped during training. These rules were chosen on parts
    of the training texts in Chinese, Korean, Thai and English.
    """
    if kind != "own":
        return SETTINGS[kind]
    sizes = {"epochs": max(5, min(30, 45_000 // N)), "vocab_size": max(2000, min(30_000, N // 2))}
    return SETTINGS[kind] | sizes | {"word_dropout": 0.4 if N < 10_000 else 0.2}


class BestOrLast(EarlyStopping):
    """Restore the weights of the best epoch at the end of training, but only if they are clearly better than the last.

    With OneCycle the last weights are usually the best, and an epoch whose accuracy on N held-out texts is higher by
    less than its standard error sqrt(a (1 - a) / N) was probably lucky. (Breiman et al. 1984 choose trees this way.)

    Attributes:
        kept: the accuracy of the weights that are kept.
    """

    def __init__(self, epochs: int, N: int) -> None:
        super().__init__("val_accuracy", patience=epochs, restore_best_weights=True)
        self.N, self.kept = N, 0.0

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Restore the best weights if they are better by more than a standard error."""
        self.kept = self.model.history.history["val_accuracy"][-1]
        if self.best - self.kept > np.sqrt(self.best * (1 - self.best) / self.N):
            super().on_train_end(logs)
            self.kept = self.best
