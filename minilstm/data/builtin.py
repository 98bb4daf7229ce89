"""Made-up film reviews in which the order of the words decides.

A small grammar writes them, so there is nothing to download and no label is wrong. One rule determines the label:
**the writer's own last opinion counts**, 1 if it is kind and 0 if it is unkind. A review consists of

- *own opinions*, "The plot was dull." There may be two, often contradictory; only the last counts;
- *pairs* of them, "The plot was dull, but the music was superb." The second of the two is the later one;
- *other people's opinions*, "My brother thought the plot was dull." They never count, not even at the end;
- *facts*, "We saw it on a rainy Tuesday." They only separate the rest.

Every opinion may be negated: "not dull" is kind, "not superb" is unkind. Three reviews with their labels:

    1  The plot was dull, but I thought the music was superb. It runs for just over two hours.
    0  The music was superb, but I thought the plot was dull. It runs for just over two hours.
    0  In the end the cast was not charming. My aunt thought the cast was charming.

The first two contain exactly the same words, so a model that only counts words must predict the same label for
both. It still gets a hint, since the opinion that counts is one of the opinions: logistic regression on word
counts is right for about 56 % of the reviews. An LSTM is right for nearly all: it carries "not" to the next word,
remembers who is speaking, and overwrites the earlier opinion.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from minilstm.tools.validate import make_rng

Split = tuple[list[str], NDArray[np.int64]]

KIND = (
    "superb", "charming", "clever", "funny", "moving", "brilliant", "gripping", "lovely", "fresh",
    "wonderful", "warm", "good",
)  # fmt: skip
UNKIND = (
    "dull", "clumsy", "boring", "silly", "bleak", "awful", "tedious", "ugly", "stale", "dreadful",
    "cold", "bad",
)  # fmt: skip
THINGS = (
    "the plot", "the cast", "the music", "the story", "the dialogue", "the acting", "the camera",
    "the whole film",
)  # fmt: skip
PEOPLE = (
    "my brother", "my aunt", "my neighbour", "a friend of mine", "everyone else", "the man behind us",
    "my old teacher", "the critic on the radio",
)  # fmt: skip

OWN = (
    "{thing} was {view}",
    "I thought {thing} was {view}",
    "for me {thing} was {view}",
    "in the end {thing} was {view}",
)
OTHERS = ("{who} thought {thing} was {view}", "for {who} {thing} was {view}", "{who} told me {thing} was {view}")
PAIRS = ("{first}, but {last}", "{first}, yet {last}", "although {first}, {last}")
FACTS = (
    "we saw it on a rainy Tuesday",
    "it runs for just over two hours",
    "the cinema was less than half empty",
    "it was shot in Norway over one summer",
    "the director made three films before this one",
    "there is a postman in nearly every scene",
    "I had bought the ticket weeks ago",
    "most of it takes place in a small harbour town",
    "the book came out ten years earlier",
    "it opens with a long train journey",
)


def load_builtin(reviews: int = 2000, seed: int = 0) -> tuple[Split, Split]:
    """Write ``(X_train, y_train), (X_test, y_test)``: reviews whose label depends on the order of their words.

    Each part consists of ``reviews`` texts, a list of str, and their labels, int64 (reviews,), 1 for kind. Half of
    the labels are 1, or one more than half if ``reviews`` is odd. A text has about 10 to 40 words, from a vocabulary
    of fewer than 120. No text occurs twice, within a part or across both. The same ``seed`` gives the same reviews.
    Takes about 25 µs per review.

    Raises:
        ValueError: ``reviews`` is less than 2.
    """
    if not isinstance(reviews, int) or reviews < 2:
        raise ValueError(f"reviews must be an integer of at least 2, one of each label, got {reviews!r}")
    rng = make_rng(seed)
    seen: set[str] = set()
    return _write_part(reviews, rng, seen), _write_part(reviews, rng, seen)


def _write_part(reviews: int, rng: np.random.Generator, seen: set[str]) -> Split:
    """Write ``reviews`` texts that are not in ``seen``, with balanced labels in random order."""
    labels = rng.permutation(np.arange(1, reviews + 1) % 2)
    texts = []
    for label in labels:
        while (text := _write_review(bool(label), rng)) in seen:
            pass
        seen.add(text)
        texts.append(text)
    return texts, labels


def _write_review(kind: bool, rng: np.random.Generator) -> str:
    """Write one review: the writer's own opinions, with facts and other people's opinions among them."""
    last = _write_opinion(OWN, kind, rng)
    first = _write_opinion(OWN, rng.random() < 0.5, rng)
    pair = _pick(PAIRS, rng).format(first=first, last=last)
    sentences = ([last], [first, last], [pair])[rng.integers(3)]
    for _ in range(rng.integers(1, 3)):  # one or two asides, anywhere, even after the opinion that counts
        aside = _pick(FACTS, rng) if rng.random() < 0.5 else _write_opinion(OTHERS, rng.random() < 0.5, rng)
        sentences.insert(int(rng.integers(len(sentences) + 1)), aside)
    return " ".join(sentence[0].upper() + sentence[1:] + "." for sentence in sentences)


def _write_opinion(templates: Sequence[str], kind: bool, rng: np.random.Generator) -> str:
    """Write an opinion, part of a sentence. About one in three is expressed by negating the opposite."""
    negated = rng.random() < 0.35
    adjective = _pick(KIND if kind != negated else UNKIND, rng)
    view = f"not {adjective}" if negated else adjective
    return _pick(templates, rng).format(who=_pick(PEOPLE, rng), thing=_pick(THINGS, rng), view=view)


def _pick(options: Sequence[str], rng: np.random.Generator) -> str:
    return options[int(rng.integers(len(options)))]
