"""Compare how long minilstm, PyTorch and Keras train the same five models on the same film reviews.

All frameworks start from the same weights, get the same batches in the same order, and make the same steps of RMSprop
(learning rate 0.001, rho 0.9, epsilon 1e-7). Each runs in its own process, which sleeps while another one works, so
that their thread pools do not compete. They take turns within every repeat, so that a slow minute of the machine slows
all of them. The first repeat is a warm-up and does not count.

The time includes everything that a step needs, from a list of reviews to updated weights. Only where a framework is
used with all reviews padded to one length is the padding done beforehand. Frameworks that are not installed are
skipped.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import sys
import time
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minilstm import Tokenizer
from minilstm.arrays import Array
from minilstm.data import load_builtin, load_imdb
from minilstm.data.batching import batches
from minilstm.tools.architectures import NAMES
from minilstm.tools.cli import Parser, number

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.frameworks import FEW, FRAMEWORKS, SIZES, Batch, Size, make_model
from benchmarks.report import Run, plot, report

EXAMPLES = """\
examples:
  python benchmarks/compare.py                                           everything, in about half an hour
  python benchmarks/compare.py --models lstm --sizes tutorial            one model at one size
  python benchmarks/compare.py --frameworks minilstm torch --repeats 3   a quick look at two of them
  python benchmarks/compare.py --data builtin --frameworks minilstm      made-up reviews, no network needed
"""


class Worker:
    """A process that trains with one framework and sleeps between requests."""

    def __init__(self, name: str) -> None:
        context = multiprocessing.get_context("spawn")  # share nothing, least of all threads
        self.name, (self.pipe, end) = name, context.Pipe()
        self.process = context.Process(target=work, args=(name, end), daemon=True)
        self.process.start()
        end.close()  # so that the pipe breaks if the process ends

    def ask(self, *question: Any) -> Any:
        """Send a model to make, or batches to train on, and wait for the answer."""
        try:
            self.pipe.send(question)
            return self.pipe.recv()
        except (EOFError, BrokenPipeError) as error:
            raise RuntimeError(f"{self.name}: its process ended; see its output above") from error

    def stop(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join()


def work(name: str, pipe: Connection) -> None:
    """Serve a Worker until its pipe closes: ``(model, size)`` makes a model, ``(batches,)`` sends seconds and loss."""
    prepare, train = None, None
    while True:
        try:
            question = pipe.recv()
        except EOFError:
            return
        if len(question) == 2:
            model, size = question
            prepare, train = FRAMEWORKS[name].start(make_model(model, SIZES[size]), SIZES[size])
            pipe.send(None)
        else:
            assert prepare is not None
            assert train is not None
            ready = prepare(*question)
            start = time.perf_counter()
            loss = train(ready)
            pipe.send((time.perf_counter() - start, loss))


def read_reviews(data: str | None, reviews: int, size: Size) -> tuple[list[Array], Array]:
    """Read the reviews: the token ids of the last words of each, and the labels (N,)."""
    texts, labels = load_builtin(reviews)[0] if data == "builtin" else load_imdb(data, reviews=reviews)[0]
    tokenizer = Tokenizer(num_words=size.vocabulary)
    tokenizer.fit_on_texts(texts)
    x = [np.array(review[-size.maxlen :], np.int64) for review in tokenizer.texts_to_sequences(texts)]
    return x, labels.astype(np.float32)


def passes(x: list[Array], y: Array, size: Size, number: int) -> tuple[list[Batch], list[Batch]]:
    """Make the batches of one pass, shuffled as minilstm does it, and a sample of FEW of them.

    The sample is evenly spaced from the batch with the shortest reviews to that with the longest.
    """
    lengths = np.array([len(review) for review in x])  # (N,)
    rows = list(batches(lengths, size.batch, np.random.default_rng(number)))
    by_length = np.argsort([lengths[batch].sum() for batch in rows])  # (batches,)
    few = min(FEW, len(rows))
    chosen = sorted(by_length[int((n + 0.5) * len(rows) / few)] for n in range(few))  # in the order of the pass
    every = [([x[n] for n in batch], y[batch]) for batch in rows]
    return every, [every[n] for n in chosen]


def compare(
    sizes: Sequence[str], models: Sequence[str], names: Sequence[str], data: str | None, reviews: int, repeats: int
) -> list[Run]:
    """Train all models with all frameworks, which take turns."""
    runs = []
    plan = [(size, model) for size in sizes for model in models]
    turns = sum(model in FRAMEWORKS[name].models for _, model in plan for name in names) * (repeats + 1)
    workers = {name: Worker(name) for name in names}
    corpora = {size: read_reviews(data, reviews, SIZES[size]) for size in sizes}
    with tqdm(total=turns, unit=" turns", smoothing=0) as bar:
        for size, model in plan:
            x, y = corpora[size]
            whole = len(x) // SIZES[size].batch * SIZES[size].batch  # only full batches
            here = {name: worker for name, worker in workers.items() if model in FRAMEWORKS[name].models}
            times: dict[str, list[float]] = {name: [] for name in here}
            losses: dict[str, list[float]] = {name: [] for name in here}
            for worker in here.values():
                worker.ask(model, size)
            for repeat in range(repeats + 1):
                every, few = passes(x[:whole], y[:whole], SIZES[size], repeat)
                for name, worker in here.items():
                    bar.set_description(f"{size} {model}: {name}")
                    part = every if repeat and FRAMEWORKS[name].all_batches else few
                    time.sleep(0.1)  # until the threads of the previous one sleep, too
                    seconds, loss = worker.ask(part)
                    times[name].append(1e6 * seconds / sum(len(labels) for _, labels in part))
                    losses[name].append(loss)
                    bar.update()
            for name in here:
                runs.append(Run(size, model, name, times[name][1:], losses[name][0], losses[name][-1]))
                tqdm.write(f"{size:<10} {model:<14} {FRAMEWORKS[name].title:<25} {runs[-1].median:8.0f} ms")
    for worker in workers.values():
        worker.stop()
    return runs


def options() -> Parser:
    """Make the command line."""
    parser = Parser(description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)

    def choose(option: str, choices: Iterable[str]) -> None:
        parser.add_argument(
            option, nargs="+", choices=list(choices), default=list(choices), metavar="NAME",
            help=f"any of: {', '.join(choices)} (default: all)",
        )  # fmt: skip

    parser.add_argument(
        "--data", metavar="PATH", help="IMDB archive or folder, or 'builtin' (default: $MINILSTM_DATA, else download)"
    )
    choose("--sizes", SIZES)
    choose("--models", NAMES)
    choose("--frameworks", FRAMEWORKS)
    most = max(size.batch for size in SIZES.values())
    parser.add_argument(
        "--reviews", type=number(int, most), default=1920, metavar="N", help="reviews in one pass (default: 1920)"
    )
    parser.add_argument(
        "--repeats",
        type=number(int, 1),
        default=9,
        metavar="N",
        help="timed passes, after one warm-up pass (default: 9)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, metavar="FOLDER",
        help="where to write results.md and results.png (default: the folder of this script)",
    )  # fmt: skip
    return parser


def main() -> None:
    """Measure, print the report, and save it with a picture."""
    config = options().parse_args()
    missing = {name for name in config.frameworks if importlib.util.find_spec(FRAMEWORKS[name].package) is None}
    left_out = [
        f"{name} ({FRAMEWORKS[name].package} is not installed)" for name in config.frameworks if name in missing
    ]
    for name in left_out:
        print(f'skipped: {name}; to install it: pip install -e ".[benchmarks]"')
    names = [name for name in config.frameworks if name not in missing]
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        runs = compare(config.sizes, config.models, names, config.data, config.reviews, config.repeats)
    except (ValueError, OSError, ModuleNotFoundError, RuntimeError) as error:
        sys.exit(f"{Path(__file__).name}: {error}")
    if not runs:
        sys.exit(f"{Path(__file__).name}: none of these frameworks is installed, or none supports one of these models")
    text = report(runs, left_out, config.reviews, config.repeats)
    print(f"\n{text}")
    (config.out / "results.md").write_text(text, encoding="utf-8")
    plot(runs, config.out / "results.png")
    print(f"saved {config.out / 'results.md'} and results.png")


if __name__ == "__main__":
    main()
