"""The tutorial's claims, measured: the tables and the plot in what_we_found.md.

Expect an hour on two cores, or some minutes after ``full.py`` with the same --out, where scores are cached. It prints
the tables in Markdown and saves the plot sigmoid.png in --out.
"""

from __future__ import annotations

import argparse
import itertools
from typing import Any

from full import SIZES, part, whole, with_validation
from runs import ALL, Job, Runner, Score, draw_curves, machine, make_parser, mean_and_range, print_table

from minilstm import LSTM, Dense, Dropout, Embedding, RMSprop, Sequential

SIGMOID, FEW = "LSTM, activation sigmoid", 5_000
MATRIX = {"vocab_size": 1_000, "maxlen": 1_000, "word_dropout": 0.0, "epochs": 6}  # texts_to_matrix gives 1,000 steps
INPUTS: dict[str, dict[str, Any]] = {"texts_to_sequences": {}, "texts_to_matrix": {"matrix": True}}


def build_sigmoid_lstm(config: argparse.Namespace) -> Sequential:
    """Stack the layers of ``lstm.py``, with the tutorial's activation in the LSTM."""
    model = Sequential(seed=config.seed)
    model.add(Embedding(config.vocab_size, config.embedding_dims, dropout=config.word_dropout))
    model.add(LSTM(config.hidden_dims, activation="sigmoid"))
    model.add(Dropout(config.dropout))
    model.add(Dense(1, activation="sigmoid"))
    optimizer = RMSprop(config.learning_rate, global_clipnorm=1.0)
    model.compile(loss="binary_crossentropy", optimizer=optimizer, metrics=["accuracy"])
    return model


def by_input(name: str, given: str) -> Job:
    """Make the job of training a model on one of INPUTS."""
    return part(name, FEW)._replace(settings=part(name, FEW).settings | MATRIX | INPUTS[given])


def main() -> None:
    """Run the jobs that are not cached, print the tables and save the plot."""
    config = make_parser(__doc__, __file__).parse_args()
    run = Runner(config.data, config.out, {SIGMOID: build_sigmoid_lstm})
    models = ("LSTM", "deep LSTM", "bidirectional LSTM", "CNN-LSTM")
    jobs: dict[Any, list[Job]] = {(name, N): [part(name, N)] for name in models for N in SIZES}
    jobs |= {(name, ALL): [whole(name, seed) for seed in range(config.seeds)] for name in models}
    jobs |= {(SIGMOID, ALL): [whole("LSTM")._replace(model=SIGMOID)]}
    jobs |= {of: [by_input(*of)] for of in itertools.product(("CNN", "LSTM"), INPUTS)}
    jobs |= {"tanh": [with_validation("LSTM")], "sigmoid": [with_validation("LSTM")._replace(model=SIGMOID)]}

    done = iter(run([*itertools.chain(*jobs.values())]))
    scores = {key: [next(done) for _ in some] for key, some in jobs.items()}
    print(f"\nSeeds 0 to {config.seeds - 1}; {machine()}.")
    for name in models[1:]:
        print_table(f"Test accuracy in %, {name}:", side_by_side(scores, "LSTM", name))
        first, second = (min(run.seconds for run in scores[of, ALL]) for of in ("LSTM", name))
        print(
            f"\nTraining on all reviews: {first:.0f} s and {second:.0f} s, {second / first:.2f}x (fastest run of each)"
        )
    sigmoid = [[name, mean_and_range(scores[name, ALL])] for name in ("LSTM", SIGMOID)]
    print_table("The activation:", [["all reviews", "test accuracy in %"], *sigmoid])
    matrix = [[" on ".join(of), mean_and_range(scores[of])] for of in itertools.product(("CNN", "LSTM"), INPUTS)]
    print_table("The input:", [[f"{FEW:,} reviews", "test accuracy in %"], *matrix])
    print()
    draw_curves({name: scores[name][0] for name in ("tanh", "sigmoid")}, config.out / "sigmoid.png")


def side_by_side(scores: dict[Any, list[Score]], one: str, other: str) -> list[list[str]]:
    """Lay out the accuracies of two models by number of training reviews."""
    sizes = [*SIZES, ALL]
    columns = ([mean_and_range(scores[name, N]) for N in sizes] for name in (one, other))
    return [["reviews", one, other], *map(list, zip((f"{N:,}" for N in sizes), *columns, strict=True))]


if __name__ == "__main__":
    main()
