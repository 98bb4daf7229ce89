"""Whatever comes in at a public door, out comes a result or a clear error.

Never a crash, a hang, somebody else's error, or a change in what was given. "Clear" is an error that the library itself
raises, see :func:`attempt`. And what is odd but valid gives the same as its plain copy.

With ``HYPOTHESIS_PROFILE=scheduled`` the file fuzz.log holds the last call, also after a crash of the process, as in a
kernel; pytest says in which test that was.
"""

import contextlib
import gzip
import io
import json
import linecache
import os
import signal
import sys
import tarfile
import traceback
import warnings
from array import array
from collections import UserDict, deque
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minilstm
from minilstm import (
    LSTM,
    SGD,
    Activation,
    Adam,
    AveragePooling1D,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    EarlyStopping,
    Embedding,
    Flatten,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    MaxPooling1D,
    OneCycle,
    RMSprop,
    Sequential,
    Tokenizer,
    diagnose,
    pad_sequences,
    use_numba,
)
from minilstm.data import load_builtin, load_imdb
from minilstm.data.own import load_own
from minilstm.fast.plan import choose
from minilstm.fast.twin import Twin
from minilstm.gradcheck import check_layer, check_loss
from minilstm.keras.interop import from_keras, from_torch, to_torch
from minilstm.losses import BinaryCrossentropy, CategoricalCrossentropy, MeanSquaredError
from minilstm.tools import cli

pytestmark = pytest.mark.slow

PACKAGE = str(Path(minilstm.__file__).parent)
REFUSED = object()
LOG = Path("fuzz.log").resolve() if os.environ.get("HYPOTHESIS_PROFILE") == "scheduled" else None
SECONDS = 60  # of the processor's time, that no call here takes, unless it hangs


# One call


def frozen(thing):
    """All that an argument holds, to compare it with later."""
    if isinstance(thing, np.ma.MaskedArray):
        return thing.data.tobytes(), thing.mask.tobytes()
    if isinstance(thing, np.ndarray):
        data = [frozen(item) for item in thing.flat] if thing.dtype.hasobject else thing.tobytes()
        return thing.dtype.str, thing.shape, thing.strides, thing.flags.writeable, data
    if isinstance(thing, dict):
        return [(repr(key), frozen(value)) for key, value in thing.items()]
    if isinstance(thing, (list, tuple)):
        return [None if item is thing else frozen(item) for item in thing]
    return repr(thing) if isinstance(thing, (str, bytes, bytearray, set, deque, array)) else None


def is_clear(error):
    """Whether the library itself raised the error, by a ``raise`` of its own, or the system did for a file."""
    frames = list(traceback.walk_tb(error.__traceback__))
    code, line = frames[-1][0].f_code, linecache.getline(frames[-1][0].f_code.co_filename, frames[-1][1])
    if isinstance(error, OSError):
        return True
    ours = code.co_filename.startswith(PACKAGE) and line.lstrip().startswith("raise ")
    return ours and isinstance(error, (ValueError, TypeError, ModuleNotFoundError))  # the last for a download


def attempt(call, *given, **named):
    """Call, and return the result or REFUSED; anything else but these two, or a change in what was given, fails."""
    if LOG:
        with np.printoptions(threshold=sys.maxsize, floatmode="unique"):
            LOG.write_text(f"{call!r}{given!r} {named!r}\n", "utf-8", "backslashreplace")
    before = frozen([given, named])
    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, hang)
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of NumPy's: said aloud, so no silent wrong answer
            warnings.simplefilter("ignore", UserWarning)  # of load_own: labels that look alike, files that are skipped
            result = call(*given, **named)
    except (Exception, SystemExit) as error:
        if not is_clear(error):
            raise
        result = REFUSED
    finally:
        if hasattr(signal, "SIGPROF"):
            signal.setitimer(signal.ITIMER_PROF, 0)
    assert frozen([given, named]) == before
    return result


def hang(*_):
    raise AssertionError(f"no answer within {SECONDS} s")


# What comes in


class Frame:
    """A table as pandas has it."""

    def __init__(self, x):
        self.x = x

    def to_numpy(self):
        return np.asarray(self.x)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, key):
        return self.x[key]

    def __iter__(self):
        return iter(self.x)

    def __repr__(self):
        return f"Frame({self.x!r})"


def endless():
    """A list that holds itself."""
    itself = []
    itself.append(itself)
    return itself


NUMBERS = st.one_of(
    st.sampled_from(
        [0, 1, -1, 2, 3, 5, True, False, 2**31, 2**63, -(2**70), 10**400, 0.0, 0.5, 1.0, -0.5, 1e-320, 1e308]
    ),
    st.sampled_from(
        [float("nan"), float("inf"), -float("inf"), 1j, Decimal("0.5"), np.bool_(True), np.int8(3), np.int64(2)]
    ),
    st.sampled_from([np.uint64(2**64 - 1), np.float16(0.5), np.float32(0.25), np.longdouble(0.1), np.complex64(1)]),
)
NAMES = st.sampled_from(
    [
        "",
        "a",
        "relu",
        "tanh",
        "softmax",
        "same",
        "causal",
        "concat",
        "mul",
        "adam",
        "mse",
        "max",
        "val_loss",
        "int32",
        "O",
        "\ud800",
    ]
)
THINGS = st.sampled_from(
    [
        *(
            lambda: None,
            lambda: ...,
            object,
            lambda: int,
            lambda: list,
            lambda: LSTM,
            lambda: len,
            dict,
            set,
            list,
            tuple,
        ),
        *(lambda: b"ab", lambda: bytearray(b"ab"), lambda: memoryview(b"ab"), lambda: range(3), lambda: deque([1, 2])),
        *(lambda: (n for n in [1, 2]), lambda: map(abs, [1]), lambda: {1: 2}, lambda: UserDict({0: 1}), lambda: {1, 2}),
        *(lambda: array("i", [1, 2]), lambda: Frame([1, 2]), lambda: Frame([[1, 2]]), lambda: Frame(["a"]), endless),
        *(lambda: np.datetime64("2020-01-01"), lambda: np.random.default_rng(0), lambda: [[[[1]]]], lambda: [1, [2]]),
        *(
            lambda: LSTM(2),
            lambda: Adam(),
            lambda: MeanSquaredError(),
            lambda: EarlyStopping("loss"),
            lambda: Tokenizer(),
        ),
        *(lambda: [None], lambda: ["a"], lambda: [b"a"], lambda: [{}], lambda: [[1, "a"]], lambda: [np.ma.array([1])]),
    ]
).map(lambda make: make())
DTYPES = ["i1", "u1", "i2", "i8", "u8", "q", "f2", "f4", "f8", "g", "c8", "c16", "?", "O", "U2", "S2", "M8[D]", "m8[s]"]
LAYOUTS = ["plain", "Fortran", "strided", "reversed", "read-only", "swapped", "unaligned", "one number", "subclass"]


def laid_out(a, layout):
    """The same numbers (or, as "one number", only the first of them) in another layout of memory."""
    if not a.ndim:
        return a
    if layout == "Fortran":
        return np.asfortranarray(a)
    if layout == "strided":
        wide = np.zeros([2 * n for n in a.shape], a.dtype)
        view = wide[tuple(slice(None, None, 2) for _ in a.shape)]
        view[...] = a
        return view
    if layout == "reversed":
        return np.flip(np.flip(a).copy())
    if layout == "read-only":
        a = a.copy()
        a.flags.writeable = False
    if layout == "swapped":
        return a.astype(a.dtype.newbyteorder())
    if layout == "unaligned" and not a.dtype.hasobject:
        view = np.frombuffer(bytearray(a.nbytes + 1), np.uint8)[1:].view(a.dtype).reshape(a.shape) if a.size else a
        view[...] = a
        return view
    if layout == "one number" and a.size:
        return np.broadcast_to(a.ravel()[:1].reshape((1,) * a.ndim), a.shape)
    if layout == "subclass":
        return a.view(np.matrix) if a.ndim == 2 else a.view(np.recarray)
    return a


@st.composite
def arrays(draw, dtypes=DTYPES, sides=(0, 1, 2, 3, 4), axes=(0, 1, 2, 3, 4)):
    """Arrays of any kind, shape and layout."""
    shape = tuple(draw(st.sampled_from(sides)) for _ in range(draw(st.sampled_from(axes))))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    a = np.asarray(np.random.default_rng(draw(st.integers(0, 99))).integers(0, 5, shape)).astype(dtype)
    if dtype.kind in "fc" and a.size and draw(st.booleans()):
        with np.errstate(all="ignore"):
            a.flat[0] = draw(st.sampled_from([np.nan, np.inf, -1e30, 1e300, 1e-40, 0.5]))
    if dtype.kind in "iu" and a.size and draw(st.booleans()):
        a.flat[-1] = draw(st.sampled_from([np.iinfo(dtype).min, np.iinfo(dtype).max, 9, 10]))
    odd = draw(st.sampled_from(["", "", "", "", "masked", "structured", "list", "rows"]))
    if odd == "masked":
        return np.ma.masked_array(a, mask=a == a)
    if odd == "structured":
        return a.view([("f", a.dtype)]) if a.ndim and a.flags.c_contiguous and not a.dtype.hasobject else a
    if odd in ("list", "rows") and a.ndim:
        return a.tolist() if odd == "list" else list(a)
    return laid_out(a, draw(st.sampled_from(LAYOUTS)))


ARRAYS = arrays()
ANYTHING = st.one_of(NUMBERS, NAMES, THINGS, ARRAYS, st.lists(ARRAYS, max_size=3), st.lists(NUMBERS, max_size=3))


def usual(value):
    """Mostly what is usual, so that the other arguments get their turn."""
    return st.one_of(st.just(value), st.just(value), st.just(value), ANYTHING)


# Samples and labels


def reader(seed=0, **settings):
    """A small model of texts, T tokens below 10."""
    model = Sequential([Embedding(10, 3, **settings), LSTM(2), Dense(1, "sigmoid")], seed=seed)
    model.compile("adam", "binary_crossentropy", ["accuracy"])
    return model


def measurer(seed=0):
    """A small model of numbers, two a step."""
    layers = [
        Conv1D(3, 2, activation="relu"),
        Bidirectional(LSTM(2, return_sequences=True)),
        GlobalMaxPooling1D(),
        Dense(2),
    ]
    model = Sequential(layers, seed=seed)
    model.compile("rmsprop", CategoricalCrossentropy(from_logits=True))
    return model


READER, MASKER, MEASURER = reader(), reader(mask_zero=True), measurer()
MEASURER.build((None, 2))
CONTAINERS = {
    "array": lambda a: a,
    "list": lambda a: a.tolist(),
    "tuple of arrays": tuple,
    "array of objects": lambda a: np.array([*a, None], object)[:-1],
    "ragged lists": lambda a: [row[: n % (len(row) + 1)].tolist() for n, row in enumerate(a)],
    "ragged kinds": lambda a: [row[n % 2 :].astype("bBhlQ"[n % 5]) for n, row in enumerate(a)],
    "frame": Frame,
    "deque": deque,
    "arrays of Python": lambda a: [array("q", np.ravel(row).tolist()) for row in a],
}


@given(
    st.integers(1, 40),
    st.integers(0, 5),
    st.sampled_from(["i1", "u1", "i2", "u4", "i8", "u8", "q"]),
    st.sampled_from(LAYOUTS),
    st.sampled_from(sorted(CONTAINERS)),
    st.sampled_from([READER, MASKER]),
)
def test_token_ids_of_any_kind_and_layout_predict_what_their_plain_copy_does(N, T, dtype, layout, container, model):
    ids = np.random.default_rng(N).integers(0, 10, (N, T))
    odd = CONTAINERS[container](laid_out(ids.astype(dtype), "plain" if container != "array" else layout))
    plain = [np.array(row, np.int64).ravel() for row in odd]
    result = attempt(model.predict, odd, batch_size=7, verbose=0)
    np.testing.assert_array_equal(result, model.predict(plain, batch_size=7, verbose=0))


@given(
    st.integers(1, 40),
    st.integers(1, 5),
    st.sampled_from(["i1", "u8", "f2", "f4", "f8", "g", "?"]),
    st.sampled_from(LAYOUTS),
    st.sampled_from(["array", "list", "tuple of arrays", "frame"]),
)
def test_numbers_of_any_kind_and_layout_predict_what_their_plain_copy_does(N, T, dtype, layout, container):
    x = np.random.default_rng(N).integers(0, 3, (N, T, 2)).astype(dtype)
    odd = CONTAINERS[container](laid_out(x, layout))
    plain = np.array(odd.to_numpy() if container == "frame" else odd).astype(np.float32, "C")
    result = attempt(MEASURER.predict, odd, batch_size=7, verbose=0)
    np.testing.assert_array_equal(result, MEASURER.predict(plain, batch_size=7, verbose=0))


@given(st.integers(4, 40), st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS), st.sampled_from(["i8", "f4", "?", "u1"]))
def test_training_on_any_layout_does_what_training_on_a_copy_does(N, of_x, of_y, dtype):
    rng = np.random.default_rng(N)
    x, y = laid_out(rng.integers(0, 10, (N, 3)), of_x), laid_out(rng.integers(0, 2, N).astype(dtype), of_y)
    odd, plain = reader(), reader()
    one = attempt(odd.fit, x, y, 3, validation_split=0.3, verbose=0)
    two = plain.fit(np.array(x), np.array(y).ravel(), 3, validation_split=0.3, verbose=0)
    assert one.history == two.history
    for a, b in zip(odd.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_labels_may_be_a_view_of_the_samples():
    x = np.tile([[1, 0, 1], [0, 1, 1]], (5, 1))
    one, two = reader(), reader()
    assert attempt(one.fit, x, x[:, 0], verbose=0).history == two.fit(x.copy(), x[:, 0].copy(), verbose=0).history


X, Y = np.arange(12).reshape(6, 2) % 10, np.array([0, 1, 0, 1, 1, 0])


@given(st.sampled_from([reader, measurer]), st.data())
def test_fit_takes_or_refuses_anything(make, data):
    x, y = usual(X if make is reader else X.reshape(6, 1, 2) / 10), usual(Y)
    settings = {
        "batch_size": usual(4),
        "epochs": st.one_of(st.just(1), ANYTHING.filter(lambda n: not isinstance(n, (int, np.integer)) or n < 5)),
        "callbacks": usual([EarlyStopping("loss")]),
        "validation_split": usual(0.5),
        "validation_data": usual((X, Y)),
        "shuffle": st.booleans(),
    }
    named = {name: data.draw(value, name) for name, value in settings.items()}
    attempt(make().fit, data.draw(x, "x"), data.draw(y, "y"), verbose=0, **named)


@given(ANYTHING, usual(Y), usual(4), st.sampled_from([READER, MASKER, MEASURER]))
def test_predict_and_evaluate_take_or_refuse_anything(x, y, batch_size, model):
    p = attempt(model.predict, x, batch_size=batch_size, verbose=0)
    assert p is REFUSED or (isinstance(p, np.ndarray) and p.ndim == 2)
    attempt(model.evaluate, x, y, batch_size=batch_size, verbose=0)


@given(ANYTHING, usual(Y), usual((X, Y)), st.sampled_from([READER, MASKER, MEASURER]))
def test_diagnose_takes_or_refuses_anything(x, y, validation_data, model):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["minilstm.tools.diagnose"], "SECONDS", 0.01)
        attempt(diagnose, model, x, y, validation_data)


# Constructors


KINDS = {
    Embedding: {"input_dim": 5, "output_dim": 2, "mask_zero": False, "input_length": None, "dropout": 0.1},
    LSTM: {
        "units": 2,
        "activation": "tanh",
        "recurrent_activation": "sigmoid",
        "dropout": 0.1,
        "recurrent_dropout": 0.1,
    },
    Bidirectional: {"layer": LSTM(2), "merge_mode": "concat"},
    Conv1D: {"filters": 2, "kernel_size": 2, "strides": 1, "padding": "same", "dilation_rate": 1, "activation": "relu"},
    Dense: {"units": 2, "activation": "relu"},
    Dropout: {"rate": 0.5},
    Activation: {"activation": "tanh"},
    MaxPooling1D: {"pool_size": 2, "strides": 1, "padding": "same"},
    AveragePooling1D: {"pool_size": 2, "strides": None, "padding": "valid"},
    GlobalMaxPooling1D: {},
    GlobalAveragePooling1D: {},
    Flatten: {},
}
OTHERS = {
    SGD: {"learning_rate": 0.1, "momentum": 0.5, "nesterov": True, "global_clipnorm": None},
    RMSprop: {"learning_rate": 0.1, "rho": 0.9, "epsilon": 1e-7, "global_clipnorm": 1.0},
    Adam: {"learning_rate": 0.1, "beta_1": 0.9, "beta_2": 0.9, "epsilon": 1e-7, "global_clipnorm": 1.0},
    EarlyStopping: {"monitor": "loss", "min_delta": 0.0, "patience": 1, "mode": "auto", "restore_best_weights": True},
    OneCycle: {"warmup": 0.3},
    Tokenizer: {"num_words": 5, "filters": "!", "lower": True, "split": " ", "oov_token": "?"},
    Sequential: {"layers": [Dense(2)], "seed": 1, "dtype": "float32"},
    use_numba: {"on": True},
    load_builtin: {"reviews": 5, "seed": 1},
}
LARGE = 1000  # sizes above it are not tried out


@given(st.sampled_from(list(KINDS)), st.data())
def test_a_layer_is_made_of_any_arguments_and_works_or_is_refused(kind, data):
    settings = {name: data.draw(usual(value), name) for name, value in KINDS[kind].items()}
    layer = attempt(kind, **settings)
    if layer is REFUSED or any(isinstance(v, (int, np.integer)) and v > LARGE for v in vars(layer).values()):
        return
    repr(layer)
    x = X % layer.input_dim if kind is Embedding else np.ones((6, 3, 2), np.float32)
    rng = np.random.default_rng(0)
    layer.build(x.shape[1:], rng, np.float32)
    y, cache = layer.forward(x, np.array([3, 0, 1, 2, 3, 3]) % (x.shape[1] + 1), True, rng)
    assert np.isfinite(y).all()
    layer.backward(np.ones_like(y), cache)


@given(st.sampled_from(list(OTHERS)), st.data())
def test_anything_else_is_made_of_any_arguments_or_refused(kind, data):
    limits = ANYTHING.filter(lambda n: kind is not load_builtin or not isinstance(n, int) or n < LARGE)
    settings = {name: data.draw(st.one_of(st.just(value), limits), name) for name, value in OTHERS[kind].items()}
    made = attempt(kind, **settings)
    use_numba(True)
    if isinstance(made, (SGD, RMSprop, Adam)):
        p = np.ones(3, np.float32)
        attempt(lambda: made.step({"p": p}, {"p": np.ones(3, np.float32)}))
    elif isinstance(made, (EarlyStopping, OneCycle)):
        attempt(reader().fit, X, Y, verbose=0, epochs=2, callbacks=[made])
    elif isinstance(made, Tokenizer):
        attempt(made.fit_on_texts, ["a b!", "c"])
        attempt(made.texts_to_sequences, ["a c", "d"])
        attempt(made.sequences_to_texts, [[1, 2]])


PRINT = usual(len).filter(lambda thing: thing is not int)  # int("a line") is an error of its own, not of the library


@given(usual("adam"), usual("mse"), usual(["accuracy"]), ANYTHING, PRINT)
def test_compile_add_and_summary_take_or_refuse_anything(optimizer, loss, metrics, layer, print_fn):
    model = reader()
    attempt(model.compile, optimizer, loss, metrics)
    attempt(model.add, layer)
    attempt(model.summary, print_fn)


# Layers, losses, optimisers and weights, by hand


def made(kind):
    """A layer of usual settings, built for two numbers a step."""
    layer = kind(**KINDS[kind])
    layer.build((3,) if kind is Embedding else (3, 2), np.random.default_rng(0), np.float32)
    return layer


CACHES = [made(kind).forward(X % 5 if kind is Embedding else np.ones((6, 3, 2), np.float32))[1] for kind in KINDS]


@given(st.sampled_from(list(KINDS)), st.booleans(), st.data())
def test_a_layer_and_its_twin_run_on_any_arrays_or_refuse_them(kind, twin, data):
    right = X % 5 if kind is Embedding else np.ones((6, 3, 2), np.float32)
    similar = arrays(dtypes=["i8", "f4", "f8", "c16"], sides=(1, 2, 3, 6), axes=(2, 3))
    layer, x = made(kind), data.draw(st.one_of(usual(right), similar), "x")
    ends = st.one_of(st.none(), usual(np.zeros(6, np.int64)), arrays(dtypes=["i8", "q"], sides=(6,), axes=(1,)))
    if twin and isinstance(runner := choose([layer])[0][0], Twin):
        layer = runner
    result = attempt(layer.forward, x, data.draw(ends, "lengths"), True, data.draw(usual(np.random.default_rng(0))))
    if result is not REFUSED:
        y, cache = result
        dy = data.draw(st.one_of(st.just(laid_out(np.ones_like(y), "strided")), ANYTHING, similar), "dy")
        attempt(layer.backward, dy, cache)


STATES = st.one_of(usual((np.zeros((6, 2), np.float32),) * 2), st.tuples(ARRAYS, ARRAYS))


@given(STATES, st.one_of(ANYTHING, st.tuples(ARRAYS, ARRAYS, ARRAYS)), st.booleans())
def test_an_initial_state_of_any_kind_is_taken_or_refused(state, dy, sequences):
    layer = LSTM(2, return_state=True, return_sequences=sequences)
    layer.build((3, 2), np.random.default_rng(0), np.float32)
    result = attempt(layer.forward, np.ones((6, 3, 2), np.float32), initial_state=state)
    if result is not REFUSED:
        right = tuple(laid_out(part, "reversed") for part in result[0])
        assert attempt(layer.backward, right, result[1]) is not REFUSED
        attempt(layer.backward, dy, result[1])


@given(
    st.sampled_from(list(KINDS)),
    st.one_of(st.sampled_from(CACHES), ANYTHING),
    st.sampled_from([(6, 2), (6, 3, 2), (6, 4)]),
)
def test_with_a_cache_of_another_layer_there_is_an_error_and_no_gradient(kind, cache, shape):
    layer = made(kind)
    own = layer.forward(X % 5 if kind is Embedding else np.ones((6, 3, 2), np.float32))[1]
    if type(cache) is not type(own):
        with pytest.raises((ValueError, TypeError, AttributeError, IndexError)):
            layer.backward(np.ones(shape, np.float32), cache)


LOSSES = [BinaryCrossentropy(), BinaryCrossentropy(True), CategoricalCrossentropy(), MeanSquaredError()]


@given(st.sampled_from([*LOSSES, CategoricalCrossentropy(True)]), ANYTHING, ANYTHING, st.booleans())
def test_losses_and_their_check_take_or_refuse_anything(loss, p, y, alike):
    y = p if alike else y
    for call in (loss.forward, loss.backward, lambda p, y: check_loss(loss, p, y)):
        attempt(call, p, y)


@given(st.sampled_from(list(KINDS)), ANYTHING, usual(None))
def test_check_layer_takes_or_refuses_anything(kind, x, lengths):
    attempt(check_layer, kind(**KINDS[kind]), x, lengths)


@given(st.sampled_from([SGD, RMSprop, Adam]), ANYTHING, ANYTHING)
def test_an_optimiser_takes_or_refuses_any_gradients(kind, params, grads):
    params = {"p": params.copy()} if isinstance(params, np.ndarray) else params
    attempt(lambda: kind().step(params, {"p": grads}))


WEIGHTS = READER.get_weights()


@given(st.lists(st.one_of(*(st.just(w) for w in WEIGHTS), ARRAYS), max_size=6), ANYTHING, st.integers(0, 5))
def test_weights_of_any_kind_are_set_or_refused(weights, anything, at):
    mixed = [*WEIGHTS[: at % 7], *([anything] if at else []), *WEIGHTS[at + 1 :]]
    for some in (weights, anything, mixed):
        attempt(reader().set_weights, some)
        attempt(from_keras, reader(), some)


STATE = to_torch(made(LSTM))


@given(
    usual(STATE),
    st.sampled_from(list(STATE)),
    usual(STATE["weight_ih_l0"]),
    usual(""),
    usual(0),
    st.sampled_from(list(KINDS)),
)
def test_a_state_of_torch_is_taken_or_refused(state, name, weight, prefix, level, kind):
    attempt(from_torch, made(kind), state, prefix, level)
    attempt(from_torch, made(LSTM), {**STATE, name: weight}, prefix)


# Texts


TEXTS = st.lists(st.text(st.sampled_from("aAbİß \t!\ud800_é日"), max_size=12), max_size=5)


@given(
    TEXTS,
    st.text("!_aé ", max_size=3),
    st.sampled_from([" ", "_", "ab", "é"]),
    st.booleans(),
    st.sampled_from([None, 2, 4]),
)
def test_texts_are_numbered_as_a_plain_loop_numbers_them(texts, filters, split, lower, num_words):
    tokenizer = Tokenizer(num_words, filters, lower, split, oov_token="?")
    tokenizer.fit_on_texts(iter(texts))

    def cut(text):
        text = (text.lower() if lower else text).translate({ord(sign): split for sign in filters})
        return [word for word in text.split(split) if word]

    counts = {}
    for word in [word for text in texts for word in cut(text)]:
        counts[word] = counts.get(word, 0) + 1
    known = ["?", *sorted((word for word in counts if word != "?"), key=lambda word: -counts[word])]
    assert list(tokenizer.word_index) == known
    if texts:
        ids = {word: n for n, word in enumerate(known, start=1) if num_words is None or n < num_words}
        assert attempt(tokenizer.texts_to_sequences, texts) == [
            [ids.get(word, 1) for word in cut(text)] for text in texts
        ]


@given(ANYTHING, st.one_of(NAMES, ANYTHING))
def test_a_tokenizer_takes_or_refuses_anything(texts, mode):
    tokenizer = Tokenizer()
    attempt(tokenizer.fit_on_texts, texts)
    tokenizer.fit_on_texts(["a b"])
    attempt(tokenizer.texts_to_sequences, texts)
    attempt(tokenizer.sequences_to_texts, texts)
    attempt(tokenizer.texts_to_matrix, ["a"], mode)


@given(ANYTHING, usual(None), usual("int32"), usual("pre"), usual(0))
def test_pad_sequences_takes_or_refuses_anything(sequences, maxlen, dtype, padding, value):
    if not (isinstance(maxlen, int) and maxlen > LARGE):
        attempt(pad_sequences, sequences, maxlen, dtype, padding, "pre", value)


# Files


def inside(folder):
    """What is in a folder, to see that nothing is written beside it."""
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder to work in, away from the user's own data and from the network."""
    folder = tmp_path_factory.mktemp("fuzz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINILSTM_CACHE", str(folder / "cache"))
        patch.delenv("MINILSTM_DATA", raising=False)
        patch.setitem(sys.modules, "pooch", None)
        patch.chdir(folder)
        yield folder


def classifier():
    """A model as the command line wants it, not trained."""
    model = reader()
    model.tokenizer, model.metadata = Tokenizer(10), {"labels": ["bad", "good"], "maxlen": 4}
    model.tokenizer.fit_on_texts(["the plot was dull", "superb"])
    return model


CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.sampled_from(["set", "cut", "insert"]), st.binary(max_size=8)), max_size=3
)


def changed(whole, changes):
    """Bytes with some of them altered, cut off or put in."""
    for share, kind, new in changes:
        at = int(share * len(whole))
        end = {"set": at + len(new), "cut": len(whole), "insert": at}[kind]
        whole = whole[:at] + new + whole[end:]
    return whole


@given(CHANGES, usual("a.safetensors"))
def test_a_model_file_with_any_change_is_loaded_or_refused(place, changes, path):
    model = classifier()
    model.save(place / "whole")
    (place / "broken").write_bytes(changed((place / "whole").read_bytes(), changes))
    loaded = attempt(Sequential.load, place / "broken")
    assert loaded is REFUSED or all(map(np.array_equal, loaded.get_weights(), model.get_weights()))
    before = inside(place)
    attempt(Sequential.load, path)
    assert inside(place) == before
    attempt(model.save, path)
    assert {Path(new).name for new in {*inside(place)} - {*before}} <= {path if isinstance(path, str) else "ab"}


def tar(members, packed):
    """An archive of the members given as (name, content, type)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 1) if packed else out.getvalue()


REVIEWS = [
    (f"aclImdb/{part}/{label}/{n}_{5}.txt", f"{part} {label} {n}".encode(), tarfile.REGTYPE)
    for part in ("train", "test")
    for label in ("pos", "neg")
    for n in range(3)
]
MEMBERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *(
                    "aclImdb/train/pos/0_5.txt",
                    "aclImdb/train/pos/00_5.txt",
                    "../../train/pos/7_1.txt",
                    "/train/neg/8_1.txt",
                ),
                *(
                    "aclImdb/train/urls_pos.txt",
                    "é/test/pos/٣_1.txt",
                    "\udcff/x",
                    "aclImdb/train/pos",
                    "train/pos/9_1.txt/",
                ),
                *(
                    "a" * 300 + "/test/neg/1_1.txt",
                    "train/pos/" + "9" * 5000 + "_1.txt",
                    "train/neg/1_" + "9" * 40 + ".txt",
                ),
            ]
        ),
        st.sampled_from([b"", b"\xff\xfe", b"\0" * 600, b"http://x\n" * 3]),
        st.sampled_from([bytes([kind]) for kind in b"01234567SLKxgVD"]),
    ),
    max_size=3,
)


@given(MEMBERS, CHANGES, CHANGES, st.booleans(), usual(None), usual(0.0), usual(0))
def test_an_archive_of_any_make_is_read_or_refused_and_writes_nothing(
    place, members, changes, later, packed, reviews, validation, seed
):
    raw = changed(tar([*members, *REVIEWS], packed=False), changes)
    (place / "a.tar.gz").write_bytes(changed(gzip.compress(raw, 1), later) if packed else raw)
    before = [path for path in inside(place) if "cache" not in path]
    parts = attempt(load_imdb, place / "a.tar.gz", reviews=reviews, validation=validation, seed=seed)
    assert [path for path in inside(place) if "cache" not in path] == before
    if parts is not REFUSED:
        assert all(len(texts) == len(y) > 0 for texts, y in parts)


@given(ANYTHING, st.one_of(NAMES, st.sampled_from(["~nobody/x", "\0", "a\0b", "x" * 5000, "/dev/null", "loop", "."])))
def test_paths_of_any_kind_are_read_or_refused(place, anything, name):
    if not (place / "loop").is_symlink():
        (place / "loop").symlink_to("loop")
    before = inside(place)
    for path in (anything, name):
        for call in (load_imdb, load_own, Sequential.load):
            attempt(call, path)
    assert inside(place) == before


CELLS = st.sampled_from(
    [
        "text",
        "label",
        ",",
        "\t",
        '"',
        "\n",
        "\r",
        "\0",
        "\ud800",
        "x" * 200_000,
        "1",
        "é",
        "=1+1",
        "\u2028",
        "\ufeff",
        " ",
        "{",
        "}",
        ":",
    ]
)
PIECES = st.lists(CELLS, max_size=20).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))
OBJECTS = st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), NAMES), st.lists, max_leaves=3)


@given(
    st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".CSV", "", ".txt", ".csv.gz", ".csv.bz2", ".zip"]),
    st.sampled_from(
        [
            b"",
            b"text,label\na,b\n",
            b"text\tlabel\n",
            b"sep=;\n",
            b"\x1f\x8b",
            b"BZh91AY&SY",
            b"[",
            b'{"text": "x", "label": 1}\n',
            b"\xff\xfe",
        ]
    ),
    PIECES,
    st.dictionaries(st.sampled_from(["text", "label", "", "more"]), OBJECTS),
    usual("text"),
    usual("utf-8"),
    usual(","),
)
def test_a_table_of_any_bytes_is_read_or_refused(place, suffix, head, pieces, thing, column, encoding, delimiter):
    file = place / f"table{suffix}"
    for content in (head + pieces, head + json.dumps(thing).encode()):
        file.write_bytes(content)
        rows = attempt(load_own, file, text_column=column, encoding=encoding, delimiter=delimiter)
        assert rows is REFUSED or all(isinstance(row.text, str) and row.label.strip() for row in rows)
        rows = attempt(load_own, file, text_column=column, labelled=False)
        assert rows is REFUSED or all(isinstance(row.text, str) and not row.label for row in rows)


# The command line


@contextlib.contextmanager
def quiet(text):
    """Give this as standard input, and take in what is printed."""
    out, before = io.StringIO(), sys.stdin
    sys.stdin = io.StringIO(text)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            yield out
    finally:
        sys.stdin = before


def run(arguments, text=""):
    """Run the command line; return its exit code and what it printed."""
    with quiet(text) as out:
        try:
            code = attempt(cli.main, arguments)
        except SystemExit as end:
            code = end.code
    return code, out.getvalue()


ARGUMENTS = [
    *(
        "train",
        "evaluate",
        "predict",
        "gradcheck",
        "--json",
        "--help",
        "--version",
        "-x",
        "--",
        "-1",
        "",
        "é",
        "\udcff",
    ),
    *(
        "own.csv",
        "one.csv",
        "folder",
        "broken.tar.gz",
        "nowhere",
        ".",
        "model.safetensors",
        "no.safetensors",
        "own.jsonl",
    ),
    *(
        "--out",
        "out.safetensors",
        "nowhere/out.safetensors",
        "out.txt",
        "--model",
        "cnn",
        "lstm",
        "--seed",
        "--file",
        "texts.txt",
    ),
    *(
        "--epochs",
        "1",
        "0",
        "nan",
        "9" * 5000,
        "--maxlen",
        "--vocab-size",
        "2",
        "--dropout",
        "0.5",
        "1e400",
        "--text-column",
        "text",
    ),
    *("os:path", "nowhere.py:x", ":", "minilstm:Flatten", "minilstm:LSTM", "--shape", "3"),
]
TRAIN = [
    "train",
    "own.csv",
    "--out",
    "out.safetensors",
    "--epochs",
    "1",
    "--maxlen",
    "8",
    "--embedding-dims",
    "2",
    "--hidden-dims",
    "2",
]


@pytest.fixture(scope="module")
def desk(place):
    """Files that the command line finds in its folder."""
    classifier().save(place / "model.safetensors")
    (place / "no.safetensors").write_bytes(b"no model")
    (place / "own.csv").write_text("text,label\n" + "the plot,bad\nsuperb,good\n" * 3, encoding="utf-8")
    (place / "one.csv").write_text("text,label\nthe plot,bad\n", encoding="utf-8")
    (place / "own.jsonl").write_text('{"text": "x", "label": true}\n', encoding="utf-8")
    (place / "texts.txt").write_bytes("superb\n\xe9".encode("latin-1"))
    (place / "broken.tar.gz").write_bytes(tar(REVIEWS, packed=True)[:200])
    (place / "folder" / "train" / "pos").mkdir(parents=True)
    return place


@given(
    st.sampled_from([TRAIN, ["predict", "model.safetensors"], ["evaluate", "model.safetensors", "own.csv"], []]),
    st.lists(st.one_of(st.sampled_from(ARGUMENTS), st.text(max_size=5)), max_size=4),
    st.text(max_size=20),
)
def test_any_command_line_ends_with_an_exit_code_and_writes_only_what_it_is_told_to(desk, begin, more, text):
    if begin[:1] != ["gradcheck"] and "gradcheck" in more and not {"minilstm:Flatten", ":"} & {*more}:
        return  # all of the library takes half a minute
    before = set(inside(desk))
    code, printed = run([*begin, *more], text)
    assert code in (0, 1, 2)
    assert code == 0 or printed
    assert "Traceback" not in printed or "gradcheck" in more
    new = {Path(path).name for path in set(inside(desk)) - before if "cache" not in path}
    assert new <= {"out.safetensors"} | {Path(word).name for word in more}
    (desk / "out.safetensors").unlink(missing_ok=True)
