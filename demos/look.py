"""Train a classic LSTM with few units, and look at how it reads a review: in the terminal, in plots, and in a page.

Expect 100.0% on the built-in corpus after about 10 s of training, and the files named in the last lines. On IMDB
reviews it takes about a minute, and the page shows what a model learns from real language.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from common import make_parser, one_line_errors, run, settle
from lstm import build_model

from minilstm import OneCycle, Tokenizer
from minilstm.data import load_builtin, load_imdb
from minilstm.explain import plot_trace, trace, write_page
from minilstm.explain.commands import lines
from minilstm.tools.cli import Parser, number

EXAMPLES = """\
examples:
  python demos/look.py                                   the built-in corpus, or IMDB if $MINILSTM_DATA names it
  python demos/look.py --data aclImdb_v1.tar.gz          IMDB reviews, from your own copy
  python demos/look.py --text "The plot was not bad."    another review to look at
"""
LABELS = ["negative", "positive"]
TEXT = "My aunt thought the plot was superb, but for me the whole film was not good."


def options() -> argparse.Namespace:
    """Read the command line; all other settings are those of the demos."""
    parser = Parser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("MINILSTM_DATA") or "builtin"
    parser.add_argument("--data", default=data, metavar="PATH", help=f"IMDB archive or folder (default: {data})")
    parser.add_argument(
        "--reviews", type=number(int, 20), default=5000, metavar="N", help="reviews to train on (default: 5000)"
    )
    units = "LSTM units, few enough to look at each (default: 8)"
    parser.add_argument("--hidden-dims", type=number(int, 1), default=8, metavar="N", help=units)
    parser.add_argument("--text", default=TEXT, help=f"the review to look at (default: {TEXT!r})")
    parser.add_argument("--out", default="results", metavar="FOLDER", help="folder for the files (default: results)")
    others = vars(make_parser(None, __file__).parse_args([]))
    return settle(argparse.Namespace(**others | vars(parser.parse_args())))


def main() -> None:
    """Train, save the model, and show what happens in it."""
    config = options()

    # 1. Train, as in lstm.py.
    with one_line_errors():
        if config.data == "builtin":
            (X, y), (X_test, y_test) = load_builtin(config.reviews, config.seed)
        else:
            (X, y), (X_test, y_test) = load_imdb(config.data, reviews=config.reviews, seed=config.seed)
    tokenizer = Tokenizer(num_words=config.vocab_size)
    tokenizer.fit_on_texts(X)
    x, x_test = ([ids[-config.maxlen :] for ids in tokenizer.texts_to_sequences(texts)] for texts in (X, X_test))
    model = build_model(config)
    model.fit(x, y, batch_size=config.batch_size, epochs=config.epochs, callbacks=[OneCycle()])
    _, accuracy = model.evaluate(x_test, y_test, batch_size=128, verbose=0)
    print(f"\ntest accuracy on {len(X_test):,} reviews of {config.corpus}: {accuracy:.1%}\n")

    # 2. A model explains itself only with the tokenizer that numbered its words. Both are saved in one file.
    model.tokenizer = tokenizer
    model.metadata = {"labels": LABELS, "maxlen": config.maxlen}
    folder = Path(config.out)
    with one_line_errors():
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / "look.safetensors")

        # 3. Look: word by word, as a picture, and as a page to explore. Untrained weights are for comparison: what
        # looks the same in both pictures was not learned.
        t = trace(model, config.text)
        print("\n".join(lines(t)))
        plot_trace(t, folder / "look.png")
        plot_trace(trace(model, config.text, untrained_weights=True), folder / "look_untrained.png")
        texts = [(text, LABELS[label]) for text, label in zip(X_test[:500], y_test, strict=False)]
        write_page(model, folder / "look.html", [config.text, *texts])
    print(
        f"\nOpen {folder / 'look.html'} in a browser. Gates, states and gradients are drawn in {folder / 'look.png'},"
    )
    print(f"with untrained weights in {folder / 'look_untrained.png'}. To look at another review:")
    print(f"  python -m minilstm look {folder / 'look.safetensors'} 'The plot was not bad.'")


if __name__ == "__main__":
    run(main)
