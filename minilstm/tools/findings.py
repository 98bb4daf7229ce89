"""What ``diagnose`` can find, with a remedy for each cause, and its report."""

from __future__ import annotations

from typing import NamedTuple

REMEDIES = {
    "softmax over one number": 'Dense(1, "sigmoid") with binary_crossentropy, or Dense(2, "softmax") with categorical.',
    "probabilities taken for logits": "give the last layer no activation, or leave from_logits out.",
    "no probabilities": "end on a sigmoid (categorical: softmax), or on no activation, with from_logits=True.",
    "bag of words": "use texts_to_sequences instead of texts_to_matrix; or leave Embedding and LSTM out.",
    "ids outside the vocabulary": "set input_dim to num_words, or if that is None, to len(tokenizer.word_index) + 1.",
    "sorted labels": "shuffle texts and labels alike, once, by order = np.random.default_rng(0).permutation(len(y)).",
    "one class only": "shuffle before splitting, and check how the labels were made.",
    "classes out of balance": "take as many rows of each class, or compare with this accuracy instead of one half.",
    "contradictory labels": "check how the labels were made, and that texts and labels are in the same order.",
    "labels out of reach": "make the labels 0 and 1, or leave the last activation out.",
    "padding at the end": "give fit the lists of texts_to_sequences as they are, or use Embedding(mask_zero=True).",
    "empty texts": "fit the Tokenizer on texts of this kind, raise num_words, and leave out rows without words.",
    "unknown words": "fit the Tokenizer on the training texts, and raise num_words, and input_dim with it.",
    "texts not cut into words": 'use Tokenizer(level="auto"), which cuts texts in any language.',
    "nothing learned": "see what else was found; train on more texts, for longer, or with another learning rate.",
    "validation texts lose words": "make both with one Tokenizer, fitted on texts of the same kind.",
    "vocabulary too large": "check that the ids come from the right Tokenizer; set input_dim to its num_words.",
    "weights not finite": "make a new model, with a tenth of the learning rate and global_clipnorm=1.0.",
    "gradients not finite": "scale x, and y unless it is 0 and 1, to about -1 to 1; use tanh in LSTMs.",
    "sigmoid as activation": 'leave activation="sigmoid" out of the LSTM: with tanh, far fewer texts are enough.',
    "forget gate closed": "let the forget part of b, b[H:2*H], start at 1, as build makes it; lower the learning rate.",
    "saturated gates": "make new weights and lower the learning rate; without an Embedding, scale x to -1 to 1.",
    "dead relus": 'make new weights and lower the learning rate, or use activation="tanh".',
    "constant output": "search, from the last layer down to x itself, for what is the same in all rows.",
    "no gradient": "look at the layers after them: saturated, dead, or with a backward that gradcheck finds wrong.",
    "exploding gradient": "give the optimiser global_clipnorm=1.0, and use tanh in LSTMs.",
    "learning rate too high": "use the smaller one, or Adam, whose 0.001 suits most models.",
    "learning rate too low": "use the larger one, or Adam, whose 0.001 suits most models.",
    "one batch cannot be learned": "check the layers with gradcheck; look for huge numbers, and for relu in LSTMs.",
}


class Finding(NamedTuple):
    """One cause: its name, which is a key of ``REMEDIES``, and what was measured."""

    name: str
    sentence: str

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return REMEDIES[self.name]


class Diagnosis(NamedTuple):
    """What :func:`diagnose` found, most fundamental first; print it for a report."""

    findings: list[Finding]

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __repr__(self) -> str:  # the report
        if self.ok:
            return "nothing found in the data, gates, gradients and learning rate; wrong labels cannot be seen"
        lines = [f"{len(self.findings)} found; begin with the first, since it may cause the others"]
        for n, finding in enumerate(self.findings, start=1):
            lines += ["", f"{n}. {finding.name}", f"   {finding.sentence}", f"   What to do: {finding.remedy}"]
        return "\n".join(lines)
