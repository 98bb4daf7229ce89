"""What fit, evaluate and predict run: twins where nothing was edited, what you wrote everywhere else."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from minilstm import (
    LSTM,
    SGD,
    Bidirectional,
    Conv1D,
    Dense,
    Embedding,
    GlobalMaxPooling1D,
    MaxPooling1D,
    RMSprop,
    Sequential,
    fast,
    textbook,
    use_numba,
)
from minilstm.data.batching import shards
from minilstm.fast import choose_plan
from minilstm.fast.twin import Twin
from minilstm.losses import BinaryCrossentropy
from minilstm.training import Shard, train_step, tree_sum

V, LENGTHS = 12, np.array([9, 7, 3, 0, 9])
MODELS = {
    "CNN": lambda: [Conv1D(6, 3, activation="relu"), GlobalMaxPooling1D()],
    "LSTM": lambda: [LSTM(5)],
    "LSTM with dropout": lambda: [LSTM(5, dropout=0.4, recurrent_dropout=0.3)],
    "deep LSTM": lambda: [LSTM(5, return_sequences=True), LSTM(4)],
    "bidirectional LSTM": lambda: [Bidirectional(LSTM(5, return_sequences=True)), Bidirectional(LSTM(5))],
    "CNN-LSTM": lambda: [Conv1D(6, 3, activation="relu"), MaxPooling1D(2), LSTM(5)],
}
every_model = pytest.mark.parametrize("name", MODELS)


def make(between, dtype="float64", optimizer="rmsprop"):
    model = Sequential([Embedding(V, 4), *between, Dense(1, activation="sigmoid")], seed=0, dtype=dtype)
    model.compile(optimizer, metrics=["accuracy"])
    return model


def texts(rng, n=40):
    return [rng.integers(0, V, length) for length in rng.integers(1, 30, n)], rng.integers(0, 2, n)


def twins(model):
    """Which layers a twin runs in place of."""
    plan = choose_plan(model.layers, model.optimizer)
    return [isinstance(runner, Twin) for runner in plan.runners]


def test_layers_that_have_a_twin_run_it_unless_the_switch_is_off():
    model = make(MODELS["CNN-LSTM"]())
    assert twins(model) == [True, True, True, True, False]
    assert str(choose_plan(model.layers, model.optimizer)).startswith(
        "Embedding by FastEmbedding, Conv1D by FastConv1D"
    )
    with textbook():
        assert twins(model) == [False] * 5
        with use_numba(True):
            assert twins(model)[0]
        assert not fast.enabled()
    assert fast.enabled()


def test_the_switch_without_a_block_stays_and_takes_nothing_but_true_and_false():
    before = use_numba(False)
    assert not fast.enabled()
    before.__exit__()
    with pytest.raises(TypeError, match="use_numba takes True or False, got '0'"):
        use_numba("0")


@pytest.mark.parametrize("name", ["MINILSTM_FAST", "MINILSTM_NUMBA"])
def test_the_environment_turns_the_twins_off(name, monkeypatch):
    monkeypatch.setenv(name, "0")
    code = "import sys; from minilstm import fast; print(fast.enabled())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_importing_and_direct_calls_load_neither_numba_nor_scipy():
    code = (
        "import sys, numpy as np, minilstm\n"
        "layer = minilstm.LSTM(2); layer.build((None, 3), np.random.default_rng(0), 'float32')\n"
        "layer.backward(*layer.forward(np.ones((1, 4, 3), 'float32')))\n"
        "print(sorted({'numba', 'scipy', 'threadpoolctl'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_a_direct_call_runs_the_textbook(rng):
    model = make(MODELS["LSTM"]())
    _, caches = model.forward(rng.integers(0, V, (5, 9)), LENGTHS)
    assert [type(cache).__name__ for cache in caches] == ["EmbeddingCache", "LSTMCache", "DenseCache"]


class Doubled(LSTM):
    """A reader's own layer, which derives from one that has a twin."""

    calls = 0

    def forward(self, x, *arguments):
        assert type(x) is np.ndarray
        Doubled.calls += 1
        return super().forward(2 * x, *arguments)

    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return 2 * dx, grads


@pytest.mark.parametrize(
    "between", [lambda: [Doubled(3)], lambda: [Bidirectional(Doubled(3))]], ids=["alone", "within"]
)
def test_a_subclass_runs_as_it_is_written_and_is_given_arrays_also_within_bidirectional(between, rng):
    x, y = texts(rng)
    model, same = make(between()), make(between())
    model.fit(x, y, verbose=0)
    with textbook():
        same.fit(x, y, verbose=0)
        expected = same.predict(x, verbose=0)
    before = Doubled.calls
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-12)
    assert Doubled.calls > before


def test_an_optimiser_of_ones_own_is_given_arrays(rng):
    class Signs(SGD):
        def update(self, p, g, *slots):
            assert type(g) is np.ndarray
            p -= self.learning_rate * np.sign(g)

    model = make(MODELS["LSTM"](), optimizer=Signs(0.1))
    before = model.params["embedding.E"].copy()
    x, y = texts(rng)
    model.fit(x, y, batch_size=40, verbose=0)
    assert set(np.unique((model.params["embedding.E"] - before).round(9))) <= {-0.1, 0.0, 0.1}


class Mine(Dense):
    """Returns gradients as somebody might write them."""

    wrong = staticmethod(lambda g: g)

    def backward(self, dy, cache):
        dx, grads = super().backward(dy, cache)
        return dx, self.wrong(grads)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda g: {**g, "b": g["b"].sum()}, TypeError, "gradients: mine.b is a float"),
        (lambda g: {**g, "W": g["W"].astype("float32")}, TypeError, "gradients: mine.W is float32, expected float64"),
        (lambda g: {**g, "q": g["b"]}, ValueError, "grads has .*'mine.q'.*expected the keys of params"),
        (lambda g: {"W": g["W"]}, ValueError, "grads has .*expected the keys of params, .*'mine.b'"),
        (lambda g: {**g, "b": g["b"][None]}, ValueError, r"mine.b has shape \(1, 3\), expected \(3,\)"),
    ],
)
@pytest.mark.parametrize("switch", [True, False], ids=["twins", "textbook"])
def test_a_wrong_gradient_of_ones_own_layer_is_refused_also_with_twins(wrong, error, message, switch, monkeypatch):
    monkeypatch.setattr(Mine, "wrong", staticmethod(wrong))
    with use_numba(switch), pytest.raises(error, match=message):
        make([LSTM(3), Mine(3)]).fit([[1, 2], [3]], [0, 1], verbose=0)


def test_weights_of_another_dtype_are_refused_with_the_remedy_also_with_twins():
    for between in (LSTM(3), Conv1D(3, 1)):
        model = make([between, GlobalMaxPooling1D()] if isinstance(between, Conv1D) else [between], "float32")
        model.layers[0].params["E"] = model.layers[0].params["E"].astype("float64")
        with pytest.raises(TypeError, match="x is float64, but W is float32; convert it with"):
            model.predict([[1, 2]], verbose=0)


@every_model
def test_a_batch_without_a_word_is_no_error(name):
    model = make(MODELS[name]())
    for switch in (True, False):
        with use_numba(switch):
            assert np.isfinite(model.predict([[], []], verbose=0)).all()
            model.fit([[], []], [0, 1], verbose=0)
    assert all(np.isfinite(p).all() for p in model.params.values())


@every_model
def test_the_gradient_of_a_batch_is_the_sum_over_its_shards(name, rng):
    """What a step of plain gradient descent with a rate of 1 takes away is the gradient."""
    if "dropout" in name:
        pytest.skip("every shard draws masks of its own")
    x, y = rng.integers(0, V, (5, 9)), rng.integers(0, 2, (5, 1)).astype(float)
    models = make(MODELS[name]()), make(MODELS[name]())
    for model, parts in zip(models, ([[0, 1, 2, 3, 4]], [[0, 3], [4, 1], [2]]), strict=True):
        plan = choose_plan(model.layers, SGD(1.0))
        train_step(plan, BinaryCrossentropy(), [Shard(x[part], LENGTHS[part], y[part]) for part in parts], model.rng)
    for a, b in zip(models[0].params.values(), models[1].params.values(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12)


def test_shards_share_out_all_rows_and_each_begins_with_its_longest(rng):
    lengths = rng.integers(0, 50, 100)
    rows = rng.permutation(100)[:70]
    parts = shards(lengths, rows)
    assert len(parts) > 1
    assert sorted(np.concatenate(parts)) == sorted(rows)
    for part in parts:
        assert (np.diff(lengths[part]) <= 0).all()


@pytest.mark.parametrize("n", range(1, 10))
def test_a_tree_sum_is_the_sum_of_the_sums_of_its_branches(n):
    class Told(str):
        def __add__(self, other):
            return Told(f"({self}+{other})")

    assert tree_sum([Told("a")]) == "a"
    assert tree_sum([Told(name) for name in "abcdefg"]) == "(((a+b)+(c+d))+((e+f)+g))"
    parts = list(np.random.default_rng(n).standard_normal((n, 3)).astype("float32"))
    np.testing.assert_allclose(tree_sum(parts), np.sum(parts, axis=0), rtol=1e-5)


@pytest.mark.parametrize("name", ["LSTM with dropout", "CNN-LSTM"])
def test_a_seed_repeats_a_run_bit_for_bit_on_any_number_of_threads(name, rng, monkeypatch):
    x, y = texts(rng, 150)
    weights = []
    for count in ("1", "2", "2", "5"):
        monkeypatch.setenv("MINILSTM_THREADS", count)
        model = make(MODELS[name](), "float32")
        history = model.fit(x, y, batch_size=128, epochs=2, verbose=0).history
        weights.append([*model.get_weights(), np.array(history["loss"]), model.predict(x, verbose=0)])
    for other in weights[1:]:
        for a, b in zip(weights[0], other, strict=True):
            assert np.array_equal(a, b)


@every_model
def test_a_run_of_the_twins_follows_that_of_the_textbook(name, rng):
    x, y = texts(rng, 100)
    curves = []
    for switch in (True, False):
        model = make(MODELS[name](), optimizer=RMSprop(0.01))
        with use_numba(switch):
            curves.append([*model.fit(x, y, epochs=4, verbose=0).history["loss"], *model.evaluate(x, y, verbose=0)])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-9)
    assert curves[0][3] < curves[0][0]


@pytest.mark.parametrize("threads", ["0", "many", "-1"])
def test_a_number_of_threads_that_is_none_is_refused(threads, monkeypatch):
    monkeypatch.setenv("MINILSTM_THREADS", threads)
    with pytest.raises(ValueError, match=f"MINILSTM_THREADS is '{threads}', expected an integer of at least 1"):
        make(MODELS["LSTM"]()).predict([[1, 2]])


# What is left behind in the process


@pytest.fixture
def two_blas_threads():
    """Let BLAS have two threads, also where there is one core."""
    make(MODELS["LSTM"]()).predict([[1, 2]], verbose=0)  # which loads the kernels and their BLAS
    with threadpool_limits(2, "blas"):
        yield


def blas_threads():
    """The numbers of threads that the BLAS libraries may start."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_blas_gets_its_threads_back_when_the_last_of_the_calls_that_overlap_has_ended(two_blas_threads):
    from minilstm.fast.threads import threads

    first, second = contextlib.ExitStack(), contextlib.ExitStack()
    assert blas_threads() == {2}
    with ThreadPoolExecutor(1) as other:
        first.enter_context(threads())
        assert blas_threads() == {1}
        other.submit(second.enter_context, threads()).result()
        first.close()
        assert blas_threads() == {1}
        other.submit(second.close).result()
        assert blas_threads() == {2}
        other.submit(first.enter_context, threads()).result()
        assert blas_threads() == {1}
        other.submit(first.close).result()
        assert blas_threads() == {2}


def test_fits_in_several_threads_end_with_the_weights_of_each_alone_and_leave_blas_as_it_was(rng, two_blas_threads):
    x, y = texts(rng, 100)
    alone, *others = [make(MODELS["bidirectional LSTM"](), "float32") for _ in range(4)]
    alone.fit(x, y, epochs=2, verbose=0)
    workers = [threading.Thread(target=lambda m=m: m.fit(x, y, epochs=2, verbose=0)) for m in others]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for other in others:
        for a, b in zip(alone.get_weights(), other.get_weights(), strict=True):
            assert np.array_equal(a, b)
    assert blas_threads() == {2}


def test_an_error_leaves_blas_as_it_was(two_blas_threads):
    class Broken(BinaryCrossentropy):
        def forward(self, p, y):
            raise RuntimeError("my loss is broken")

    model = make(MODELS["LSTM"]())
    model.compile(loss=Broken())
    for call in (model.fit, model.evaluate):
        with pytest.raises(RuntimeError, match="my loss is broken") as caught:
            call([[1, 2], [3]] * 40, [0, 1] * 40, verbose=0)
        assert blas_threads() == {2}, f"while {caught.value} is kept, as in a notebook"


def test_the_first_call_in_a_process_limits_the_blas_of_numpy_and_that_of_the_kernels():
    code = (
        "import numpy as np, minilstm\n"
        "from minilstm.fast.plan import threads\n"
        "from threadpoolctl import threadpool_info, threadpool_limits\n"
        "threadpool_limits(2, 'blas')\n"
        "with threads(): pass\n"
        "model = minilstm.Sequential([minilstm.Embedding(3, 2), minilstm.LSTM(2), minilstm.Dense(1)], seed=0)\n"
        "count = lambda: [library['num_threads'] for library in threadpool_info() if library['user_api'] == 'blas']\n"
        "with threads(): model.predict([[1]], verbose=0); print(set(count()), len(count()))\n"
        "print(len(count()))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    during, after = run.stdout.splitlines()
    assert (during, run.stderr) == (f"{{1}} {after}", "")


@pytest.mark.parametrize("count", ["1", "2"])
def test_no_kernel_runs_in_the_thread_that_ctrl_c_interrupts(count, rng, monkeypatch):
    """There the interrupt would come out of a kernel as a SystemError."""
    names = set()

    class Spy(Dense):
        def forward(self, x, *arguments):
            names.add(threading.current_thread().name)
            return super().forward(x, *arguments)

    monkeypatch.setenv("MINILSTM_THREADS", count)
    model = Sequential([Embedding(V, 4), LSTM(5), Spy(1, activation="sigmoid")], seed=0)
    model.compile("rmsprop")
    x, y = texts(rng)
    model.fit(x, y, verbose=0)
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    assert names
    assert threading.current_thread().name not in names


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer that interrupts")
@pytest.mark.parametrize("name", ["fit", "evaluate", "predict"])
def test_ctrl_c_is_a_keyboard_interrupt_on_one_thread_too_and_leaves_a_model_that_works(
    name, rng, monkeypatch, tmp_path
):
    monkeypatch.setenv("MINILSTM_THREADS", "1")
    model = make(MODELS["bidirectional LSTM"](), "float32")
    x, y = texts(rng, 400)
    calls = {
        "fit": lambda: model.fit(x, y, epochs=1000, verbose=0),
        "evaluate": lambda: [model.evaluate(x, y, verbose=0) for _ in range(1000)],
        "predict": lambda: [model.predict(x, verbose=0) for _ in range(1000)],
    }
    model.fit(x, y, verbose=0)
    old = signal.signal(signal.SIGALRM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        for delay in np.linspace(0.05, 0.15, 12):
            signal.setitimer(signal.ITIMER_REAL, delay)
            with pytest.raises(KeyboardInterrupt):
                calls[name]()
            assert all(np.isfinite(p).all() for p in model.params.values())
    finally:
        signal.signal(signal.SIGALRM, old)
    model.save(tmp_path / "model.safetensors")
    same = Sequential.load(tmp_path / "model.safetensors")
    assert np.array_equal(same.predict(x, verbose=0), model.predict(x, verbose=0))


def test_memory_of_an_earlier_step_is_used_again_once_no_array_refers_to_it():
    from minilstm.fast.threads import memory

    def steps():
        first = memory(10, np.dtype("float32"))
        address, view = first.ctypes.data, first[2:4]
        del first
        second = memory(10, np.dtype("float32"))
        assert not np.shares_memory(second, view)
        del view
        third = memory(5, np.dtype("float64"))
        assert third.shape == (5,)
        assert third.ctypes.data == address
        return memory(0, np.dtype("float64")).shape

    with ThreadPoolExecutor(1) as pool:  # each thread has its own
        assert pool.submit(steps).result() == (0,)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_freed_after_predict_goes_back_to_the_system():
    code = (
        "import numpy as np, minilstm\n"
        "def held():\n"
        "    arrays = [np.ones(1_000_000) for _ in range(100)]\n"
        "    del arrays\n"
        "    return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "model = minilstm.Sequential([minilstm.Embedding(3, 2), minilstm.LSTM(2), minilstm.Dense(1)], seed=0)\n"
        "before = held(); model.predict([[1]], verbose=0); print((held() - before) / 1e6)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(run.stdout) < 200, "of 800 MB that were freed, and what loading the kernels takes"
