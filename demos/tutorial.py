"""The script of the video tutorial, without its mistakes: a CNN and four LSTM models on IMDB, with Keras's calls.

"The tutorial" in these documents is a video, "Long Short-Term Memory (LSTM)". Its script has two mistakes. Here both
are marked with MISTAKE and are made only with the option --mistake. Expect these test accuracies with seed 0 and the
default settings, which use plain RMSprop as the tutorial does:

    reviews   model     no mistake   texts_to_matrix   sigmoid
      1,000   LSTM           76.4%                       56.5%
      5,000   LSTM           83.0%             55.2%     63.1%
      5,000   CNN            83.8%             80.9%
      5,000   deep LSTM      81.9%

It takes 10 s for 1,000 reviews and 15 s to 3 minutes for 5,000. With all 25,000 reviews and the settings of the
experiments, sigmoid gets 85.9% and tanh 89.3%: more reviews make up for most of that mistake.
"""

from __future__ import annotations

import argparse
import time

import common

from minilstm import (
    LSTM,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    MaxPooling1D,
    Sequential,
    Tokenizer,
    pad_sequences,
)
from minilstm.data import load_builtin, load_imdb
from minilstm.tools.cli import Parser, number

EXAMPLES = """\
examples:
  python demos/tutorial.py                               the classic LSTM, without mistakes
  python demos/tutorial.py --model hybrid                a convolution and pooling before the LSTM
  python demos/tutorial.py --mistake texts_to_matrix     the LSTM, with the first mistake
  python demos/tutorial.py --mistake sigmoid             the LSTM, with the second mistake
"""
MODELS = ("lstm", "deep", "bidirectional", "hybrid", "cnn")

VOCAB_SIZE = 1000
MAXLEN = 300
EMBEDDING_DIMS = 50
HIDDEN_DIMS = 100
FILTERS, KERNEL_SIZE = 64, 3
BATCH_SIZE = 32


def build_model(name: str, steps: int, activation: str, seed: int) -> Sequential:
    """Stack the layers of one of the tutorial's models, for reviews of ``steps`` words, and compile it."""
    model = Sequential(seed=seed)
    model.add(Embedding(VOCAB_SIZE, EMBEDDING_DIMS, input_length=steps))
    if name == "lstm":
        model.add(LSTM(HIDDEN_DIMS, activation=activation))
    elif name == "deep":
        model.add(LSTM(HIDDEN_DIMS, activation=activation, return_sequences=True))
        model.add(LSTM(HIDDEN_DIMS, activation=activation))
    elif name == "bidirectional":
        model.add(Bidirectional(LSTM(HIDDEN_DIMS, activation=activation)))
    elif name == "hybrid":
        model.add(Conv1D(FILTERS, KERNEL_SIZE, activation="relu"))
        model.add(MaxPooling1D())
        model.add(LSTM(HIDDEN_DIMS, activation=activation))
    else:
        model.add(Dropout(0.5))
        model.add(Conv1D(16, KERNEL_SIZE, activation="relu"))
        model.add(MaxPooling1D())
        model.add(Conv1D(16, KERNEL_SIZE, activation="relu"))
        model.add(MaxPooling1D())
        model.add(Flatten())
        model.add(Dense(250, activation="relu"))
        model.add(Dropout(0.5))
    model.add(Dense(1, activation="sigmoid"))
    model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    return model


def main() -> None:
    """Train a model of the tutorial, with or without its mistakes."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = Parser(description=__doc__, epilog=EXAMPLES, formatter_class=layout)
    add = parser.add_argument
    add("--model", choices=MODELS, default="lstm", help="which of the five models to train (default: lstm)")
    mistakes = ("texts_to_matrix", "sigmoid")
    add("--mistake", choices=mistakes, action="append", default=[], help="make this mistake; give it twice for both")
    add("--data", metavar="PATH", help="IMDB archive or folder, or 'builtin' (default: $MINILSTM_DATA, else download)")
    add(
        "--reviews",
        type=number(int, 20),
        default=5000,
        metavar="N",
        help="training reviews, and test reviews (default: 5000)",
    )
    add("--epochs", type=number(int, 1), default=6, metavar="N", help="passes over the reviews (default: 6)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="random seed (default: 0)")
    config = parser.parse_args()
    common.choose_corpus(config)

    if config.data == "builtin":
        (X_train, y_train), (X_test, y_test) = load_builtin(config.reviews, config.seed)
    else:
        with common.one_line_errors():
            (X_train, y_train), (X_test, y_test) = load_imdb(config.data, reviews=config.reviews, seed=config.seed)

    tokenizer = Tokenizer(num_words=VOCAB_SIZE)
    tokenizer.fit_on_texts(X_train)
    if "texts_to_matrix" in config.mistake:
        # MISTAKE 1: a row for each review, with a 1 for each word of the vocabulary that occurs in it. The model reads
        # this as a text of 1,000 words, each of which is word number 0 or 1.
        x_train = tokenizer.texts_to_matrix(X_train).astype("int32")  # (N, 1000)
        x_test = tokenizer.texts_to_matrix(X_test).astype("int32")
    else:
        # The ids of the words, in the order of the text.
        x_train = pad_sequences(tokenizer.texts_to_sequences(X_train), maxlen=MAXLEN)  # (N, 300)
        x_test = pad_sequences(tokenizer.texts_to_sequences(X_test), maxlen=MAXLEN)

    # MISTAKE 2: with a sigmoid, what an LSTM writes to its cell is never negative, so that the cell can only count up.
    # With tanh, the default, it can also count down.
    activation = "sigmoid" if "sigmoid" in config.mistake else "tanh"

    model = build_model(config.model, x_train.shape[1], activation, config.seed)
    model.summary()
    start = time.perf_counter()
    model.fit(
        x_train,
        y_train,
        batch_size=BATCH_SIZE,
        epochs=config.epochs,
        validation_data=(x_test, y_test),  # as in the tutorial: the test reviews serve as validation data
    )
    seconds = time.perf_counter() - start
    _, accuracy = model.evaluate(x_test, y_test, batch_size=128, verbose=0)
    result = f"{len(x_test):,} reviews of {config.corpus}, after {seconds:.1f} s of training"
    print(f"\ntest accuracy {accuracy:.1%} on {result}, mistakes: {', '.join(config.mistake) or 'none'}")


if __name__ == "__main__":
    common.run(main)
