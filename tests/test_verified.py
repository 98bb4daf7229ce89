"""What is edited is what runs: a twin gives way as soon as anything that it stands in for is not as it was verified."""

import functools
import json
import re
import shutil
import subprocess
import sys
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import minilstm
from minilstm import LSTM, Adam, Bidirectional, Conv1D, Dense, Embedding, MaxPooling1D, Sequential, activations
from minilstm.fast import choose_plan, kernels, plan, verified, verify
from minilstm.fast.twin import Twin
from minilstm.layers import base, lstm
from minilstm.layers.windows import Windows

RECORDS = json.loads(verified.RECORDS.read_text(encoding="utf-8"))
X, Y = [[1, 2, 3, 4], [2, 2], [4, 1, 0], [3]], [0, 1, 1, 0]
MODELS = {
    "Embedding": lambda m: [],
    "LSTM": lambda m: [m.LSTM(2)],
    "Bidirectional": lambda m: [m.Bidirectional(m.LSTM(2))],
    "Conv1D": lambda m: [m.Conv1D(2, 2, activation="tanh")],
    "MaxPooling1D": lambda m: [m.MaxPooling1D()],
    "GlobalMaxPooling1D": lambda m: [m.GlobalMaxPooling1D()],
}
MODELS |= dict.fromkeys(("SGD", "RMSprop", "Adam"), MODELS["LSTM"])


def made(library, twin):
    """A small model in which the twin would run."""
    vectors = (
        []
        if twin in ("GlobalMaxPooling1D", "LSTM", "Bidirectional", "SGD", "RMSprop", "Adam")
        else [library.GlobalMaxPooling1D()]
    )
    between = [*MODELS[twin](library), *vectors]
    model = library.Sequential([library.Embedding(5, 3), *between, library.Dense(1, "sigmoid")], seed=0)
    model.compile(twin.lower() if twin in ("SGD", "Adam") else library.RMSprop(global_clipnorm=0.01))
    return model


def runs_as_written(library, twin, model):
    """Whether the plan has the layer itself, or the optimiser itself, in place of the twin."""
    chosen = sys.modules["minilstm.fast"].choose_plan(model.layers, model.optimizer)
    parts = zip((*chosen.layers, chosen.optimizer), (*chosen.runners, chosen.stepper), strict=True)
    return [runner is part for part, runner in parts if type(part).__name__ == twin] == [True]


def test_the_records_are_those_of_the_textbook_as_it_is():
    now = {name: verified.reach(roots) for name, roots in plan.ROOTS.items()}
    stale = sorted({key for name in now for key in now[name] if now[name][key] != RECORDS.get(name, {}).get(key)})
    assert now == RECORDS, (
        f"{', '.join(stale) or 'something'} changed since the twins were verified. Make the twins match, then run "
        "python -m minilstm.fast.verify"
    )


# Edits of files


@contextmanager
def edited(folder, edit):
    """Put a copy of the library in the place of the real one, with the sources that ``edit(folder)`` changes."""
    shutil.copytree(Path(minilstm.__file__).parent, folder / "minilstm", ignore=shutil.ignore_patterns("*.nb?"))
    edit(folder / "minilstm")
    real = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "minilstm"}
    sys.modules["minilstm.fast.kernels"] = kernels  # compiled already, and no test edits it
    sys.path.insert(0, str(folder))
    try:
        import minilstm as library

        library.touched = set()
        yield library
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == "minilstm"]:
            del sys.modules[name]
        sys.modules.update(real)


CONSTANTS = {
    "activations.ACTIVATIONS": ('"relu": Activation("relu", relu,', '"relu": Activation("relu", tanh,'),
    "layers.lstm.TINY": ("TINY = 1e-30", "TINY = 1e-20"),
}


def edit_of(name):
    """Change one line: a function notes that it ran, a constant gets another value."""
    module, function = re.fullmatch(r"((?:layers\.|data\.)?\w+)\.(.+)", name).groups()

    def edit(package):
        file = package.joinpath(*module.split(".")).with_suffix(".py")
        source = file.read_text(encoding="utf-8")
        if name in CONSTANTS:
            right, wrong = CONSTANTS[name]
            end = start = source.index(right)
            end += len(right)
        else:
            kind, _, method = function.rpartition(".")
            inside = source.index(f"class {kind}") if kind else 0
            head = re.compile(rf"^ *def {method}\(.*?\) -> [^\n]*:\n +", re.DOTALL | re.MULTILINE)
            start = end = head.search(source, inside).end()
            indent = source[:end].rpartition("\n")[2]
            wrong = f'__import__("minilstm").touched.add("{name}")\n{indent}'
        file.write_text(source[:start] + wrong + source[end:], encoding="utf-8")

    return edit


EDITED = {name: twin for twin, names in reversed(RECORDS.items()) for name in names if twin != "number_words"}


@pytest.mark.parametrize("name", sorted(EDITED))
def test_an_edited_function_runs_in_fit_evaluate_and_predict_wherever_the_textbook_runs_it(name, tmp_path, capsys):
    twin = EDITED[name]
    with edited(tmp_path, edit_of(name)) as library:

        def touched(action):
            library.touched.clear()
            action()
            return bool(library.touched)

        model = made(library, twin)
        actions = [
            lambda: model.fit(X, Y, verbose=0),
            lambda: model.evaluate(X, Y, verbose=0),
            lambda: model.predict(X, verbose=0),
        ]
        with library.textbook():
            expected = [touched(action) for action in actions]
        assert capsys.readouterr().err == ""
        assert [touched(action) for action in actions] == expected
        assert runs_as_written(library, twin, model)
    lines = capsys.readouterr().err.splitlines()
    assert name in lines[0]
    assert len(lines) == len({line.rpartition(", so ")[2] for line in lines})  # once for each twin that reaches it


def test_an_edit_of_the_function_that_numbers_words_runs(tmp_path, capsys):
    with edited(tmp_path, edit_of("data.text.number_words")) as library:
        library.Tokenizer().fit_on_texts(["one two " * 10_000])
        assert library.touched == {"data.text.number_words"}
    assert "data.text.number_words is not as its fast twin was verified" in capsys.readouterr().err


def test_comments_docstrings_annotations_and_layout_do_not_count(tmp_path, capsys):
    def edit(package):
        for file in [*package.glob("*.py"), *package.glob("layers/*.py")]:
            source = re.sub(
                r'^( +)"""(?=\S)', r'\1"""Another text. ', file.read_text(encoding="utf-8"), flags=re.MULTILINE
            )
            source = (
                source.replace("x: Array", "x: object")
                .replace(" -> Array:", " -> object:")
                .replace("# (1)", "# see (1)")
            )
            file.write_text("# a comment\n\n" + source.replace(", T = ", ", \\\n            T = "), encoding="utf-8")

    with edited(tmp_path, edit) as library:
        for twin in MODELS:
            model = made(library, twin)
            model.fit(X, Y, verbose=0)
            assert not runs_as_written(library, twin, model)
    assert capsys.readouterr().err == ""


# Functions replaced while Python runs


def swapped(x, lengths):
    return x


@functools.wraps(lstm.lstm_backward)
def wrapped(*arguments):
    return lstm.lstm_backward(*arguments)


@pytest.mark.parametrize(
    ("owner", "name", "mine", "expected"),
    [
        (lstm, "lstm_forward", lambda *arguments: original(*arguments), "layers.lstm.lstm_forward"),
        (lstm, "lstm_backward", wrapped, "layers.lstm.lstm_backward"),
        (lstm, "flip", swapped, "layers.lstm.flip"),
        (lstm, "TINY", 1e-20, "layers.lstm.TINY"),
        (LSTM, "forward", lambda self, *arguments: original(self, *arguments), "layers.lstm.LSTM.forward"),
        (LSTM, "draw_masks", lambda *arguments: (1, 1), "layers.lstm.LSTM.draw_masks"),
        (activations, "ACTIVATIONS", dict(list(activations.ACTIVATIONS.items())[1:]), "activations.ACTIVATIONS"),
        (lstm, "get_activation", np.vectorize(activations.get_activation), "layers.lstm.lstm_forward"),
    ],
)  # fmt: skip
def test_what_is_replaced_while_python_runs_counts_as_edited(owner, name, mine, expected, monkeypatch, capsys):
    plan.say_once.cache_clear()
    global original
    original = getattr(owner, name)
    layer = LSTM(2)
    assert isinstance(plan.runner(layer), Twin)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, mine)
        assert plan.runner(layer) is layer
        assert plan.runner(layer) is layer
        assert capsys.readouterr().err.splitlines() == [
            f"minilstm: {expected} is not as its fast twin was verified, so LSTM runs as it is written, in plain NumPy;"
            " check its gradients with python -m minilstm gradcheck"
        ]
    assert isinstance(plan.runner(layer), Twin)


def test_a_function_that_got_other_code_counts_as_edited(monkeypatch):
    """So do tools that reload modules while one edits them."""
    monkeypatch.setattr(base.flip, "__code__", swapped.__code__)
    layers = LSTM(2), Bidirectional(LSTM(2)), Conv1D(2, 2)
    assert [type(plan.runner(layer)) is type(layer) for layer in layers] == [True, True, False]


def test_a_method_put_on_one_layer_runs_for_that_layer_alone(rng):
    model = Sequential([Embedding(5, 3), LSTM(2, return_sequences=True), LSTM(2), Dense(1, "sigmoid")], seed=0)
    calls, layer = [], model.layers[1]
    layer.forward = lambda *arguments: calls.append(1) or LSTM.forward(layer, *arguments)
    model.predict(X, verbose=0)
    assert calls
    assert [isinstance(runner, Twin) for runner in choose_plan(model.layers).runners] == [True, False, True, False]


def test_a_method_put_on_one_optimiser_runs():
    optimizer = Adam()
    optimizer.update = types.MethodType(Adam.update, optimizer)
    assert plan.optimizer_runner(optimizer) is optimizer


def exchange(patch):
    patch.setattr(lstm, "zero_padding", base.flip)
    patch.setattr(lstm, "flip", base.zero_padding)


@pytest.mark.parametrize(
    ("layer", "change"),
    [
        (LSTM(2), exchange),
        (Embedding(5, 2), lambda patch: patch.setattr(base.Layer, "out_lengths", lambda self, lengths: None)),
        (LSTM(2), lambda patch: patch.setattr(LSTM, "out_lengths", lambda self, lengths: None)),
        (LSTM(2), lambda patch: patch.setattr(activations, "np", types.ModuleType("my_numpy"))),
        (LSTM(2), lambda patch: patch.setattr(lstm.lstm_forward, "__defaults__", (None, "relu", "sigmoid", (1, 1)))),
    ],
    ids=["two functions exchanged", "out_lengths of the base", "out_lengths", "another np", "another default"],
)
def test_changes_without_a_changed_line_count_too(layer, change, monkeypatch):
    with monkeypatch.context() as patch:
        change(patch)
        assert plan.runner(layer) is layer
    assert isinstance(plan.runner(layer), Twin)


@pytest.mark.parametrize("name", ["pool_forward", "pool_backward", "out_lengths"])
def test_any_method_put_on_one_layer_runs(name):
    layer = MaxPooling1D()
    setattr(layer, name, getattr(layer, name))
    assert plan.runner(layer) is layer


def test_an_attribute_of_a_class_of_ones_own_runs():
    class Mine(Windows):
        pass

    layer = Conv1D(2, 2)
    layer.windows = Mine(2)
    assert plan.runner(layer) is layer


def test_what_is_replaced_while_the_twins_are_loaded_does_not_stay_in_them():
    code = (
        "import numpy as np\n"
        "from minilstm import LSTM\n"
        "from minilstm.layers import lstm\n"
        "right, lstm.flip, lstm.TINY = lstm.flip, lambda x, lengths: x, 1.0\n"
        "from minilstm.fast.plan import choose\n"
        "lstm.flip, lstm.TINY = right, 1e-30\n"
        "layer = LSTM(2, go_backwards=True); layer.build((None, 3), np.random.default_rng(0), 'float64')\n"
        "x = np.random.default_rng(1).standard_normal((2, 4, 3))\n"
        "both = layer, choose([layer])[0][0]\n"
        "runs = [runner.backward(np.ones((2, 2)), runner.forward(x)[1])[0] for runner in both]\n"
        "print(abs(runs[0] - runs[1]).max() < 1e-12, abs(runs[0]).max() > 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("True True\n", "")


def test_a_comment_added_above_while_python_runs_changes_nothing_and_half_a_file_stops_nothing(tmp_path, capsys):
    with edited(tmp_path, lambda package: None) as library:
        file = tmp_path / "minilstm" / "layers" / "lstm.py"
        source = file.read_text(encoding="utf-8")
        file.write_text(f"# a comment\n{source}", encoding="utf-8")
        model = made(library, "LSTM")
        model.fit(X, Y, verbose=0)
        assert not runs_as_written(library, "LSTM", model)
    capsys.readouterr()
    shutil.rmtree(tmp_path / "minilstm")
    with edited(tmp_path, lambda package: None) as library:
        file.write_text(source[:5000] + "def (", encoding="utf-8")
        model = made(library, "LSTM")
        model.fit(X, Y, verbose=0)
        assert runs_as_written(library, "LSTM", model)


# What is reached


@pytest.mark.parametrize("twin", [name for name in RECORDS if name != "number_words"])
def test_nothing_runs_in_the_textbook_that_the_record_does_not_name(twin):
    model, ran = made(minilstm, twin), set()
    folder = Path(minilstm.__file__).parent
    owners = {type(layer): type(layer).__name__ for layer in model.layers}

    def profile(frame, event, _):
        code = frame.f_code
        path = Path(code.co_filename)
        if (
            event == "call"
            and folder in path.parents
            and path.relative_to(folder).parts[0] in LESSON
            and "<" not in code.co_qualname
        ):
            ran.add(".".join((*path.relative_to(folder).with_suffix("").parts, code.co_qualname)))

    part = next((layer for layer in model.layers if type(layer).__name__ == twin), model.optimizer)
    with minilstm.textbook():
        model.fit(X, Y, verbose=0)
    names = ("forward", "backward") if part in model.layers else ("step", "norm")
    for name in names:

        def recorded(*arguments, name=name, **settings):
            sys.setprofile(profile)
            try:
                return getattr(type(part), name)(part, *arguments, **settings)
            finally:
                sys.setprofile(None)

        setattr(part, name, recorded)
    with minilstm.textbook():
        model.fit(X, Y, verbose=0)
    inner = set(RECORDS["LSTM"]) if twin == "Bidirectional" else set()  # its LSTMs are asked for themselves
    assert owners
    assert ran
    assert ran - inner <= set(RECORDS[twin])


LESSON = ("layers", "activations.py", "losses.py", "optimizers.py", "initializers.py")


def test_a_digest_is_the_same_in_every_version_of_python():
    """Seen with 3.11 to 3.14; their syntax trees differ in fields that do not count."""
    source = (
        "class A:\n"
        "    def f(self, x: int = 3, *y, z=None, **w) -> str:\n"
        '        """A docstring."""\n'
        "        a, *b = x[1:, ::2] if not z else (lambda q: q @ x.T)(-1.5e-30)  # a comment\n"
        "        return f'{a!r:>{z}} of {b}: {{}}' 'joined' and {**w, 'k': [n for n in y if n is None]}\n"
    )

    def digests(text):
        return verified.parsed(text, compile(text, "", "exec"))[1]

    assert digests(source) == {"A.f": "89c9e2ff680b"}
    assert digests(source.replace("A docstring", "Another").replace(": int", ": str").replace("# a comment", "")) == {
        "A.f": "89c9e2ff680b"
    }
    assert digests(source.replace("1.5e-30", "1.6e-30")) != digests(source)


@pytest.mark.parametrize("failed", [0, 1])
def test_digests_are_taken_again_only_after_the_tests_of_the_twins_passed(failed, monkeypatch, capsys):
    commands, records = [], Path(verify.__file__).parents[2] / "verified-for-a-test.json"
    monkeypatch.setattr(verify, "RECORDS", records)

    def run(command, **_):
        commands.append(command)
        return types.SimpleNamespace(returncode=failed)

    monkeypatch.setattr(verify.subprocess, "run", run)
    try:
        assert verify.main() == failed
        assert commands[0][-1].endswith("test_twins.py")
        assert records.exists() != bool(failed)
        assert failed or json.loads(records.read_text(encoding="utf-8")) == RECORDS
    finally:
        records.unlink(missing_ok=True)
    output = capsys.readouterr()
    assert "nothing was recorded" in output.err if failed else "recorded what 10 twins" in output.out


def test_an_installed_package_without_tests_says_that_it_needs_a_clone(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(verify, "__file__", str(tmp_path / "minilstm" / "fast" / "verify.py"))
    assert verify.main() == 1
    assert "this needs a clone of the repository" in capsys.readouterr().err
