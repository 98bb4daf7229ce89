"""``python -m minilstm gradcheck``: a table, a sum at the end, and an exit code that scripts can trust."""

import subprocess
import sys

import pytest

from minilstm import __version__
from minilstm.gradcheck import Check, Report
from minilstm.tools import cli

SWISH = '''
import numpy as np
from minilstm import Layer
from minilstm.activations import sigmoid

class Swish(Layer):
    """y = x sigmoid(x)"""

    def build(self, d_in, rng, dtype):
        return d_in

    def forward(self, x, lengths=None, train=False, rng=None):
        return x * sigmoid(x), x

    def backward(self, dy, x):
        s = sigmoid(x)
        return dy * (s + x * s * (1 - s)), {}

class WrongSwish(Swish):
    def backward(self, dy, x):
        return dy * sigmoid(x), {}

class Needy(Swish):
    def __init__(self, beta):
        super().__init__()

def make():
    return Swish()

class Crash(Swish):
    def backward(self, dy, x):
        return dy @ np.ones((7, 7)), {}

ready = Swish()
number = 3
'''


@pytest.fixture
def layers(tmp_path):
    file = tmp_path / "my_layers.py"
    file.write_text(SWISH)
    return str(file)


def test_all_of_minilstm_passes_and_the_exit_code_is_zero(capsys):
    assert cli.main(["gradcheck"]) == 0
    out = capsys.readouterr().out
    assert "LSTM(2, return_sequences=True), padded" in out
    assert "Embedding > LSTM > Dropout > LSTM > Dense" in out
    assert "gradients right; worst relative error" in out.splitlines()[-1]
    assert "WRONG" not in out
    assert out.startswith("plain NumPy functions")
    assert "\nnumba kernels\n" in out


def test_one_wrong_gradient_makes_the_exit_code_one(capsys, monkeypatch):
    wrong = Report("Liar(1)", [Check("W", 4, 1.0, 0.5, 0.5, 0)])
    monkeypatch.setattr(cli, "check_all", lambda: iter([wrong]))
    assert cli.main(["gradcheck"]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in out
    assert "0 of 2 gradients right" in out  # plain functions, then kernels


@pytest.mark.parametrize("name", ["Swish", "make", "ready"])
def test_a_readers_own_layer_may_be_a_class_a_function_or_a_layer(layers, name, capsys):
    assert cli.main(["gradcheck", f"{layers}:{name}"]) == 0
    out = capsys.readouterr().out
    assert "Swish()" in out
    assert "2 of 2 gradients right" in out  # whole rows, then padded ones


def test_a_readers_wrong_layer_is_found(layers, capsys):
    assert cli.main(["gradcheck", f"{layers}:WrongSwish", "--shape", "3", "4"]) == 1
    assert "0 of 1 gradients right" in capsys.readouterr().out


def test_a_layer_may_come_from_an_installed_module(capsys):
    assert cli.main(["gradcheck", "minilstm.tools.gradcases:Dropout"]) == 2
    assert "name what can be called without arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("Swish", "names no layer, expected FILE.py:NAME or MODULE:NAME"),
        ("nowhere.py:Swish", "cannot import 'nowhere.py'"),
        ("no_such_module:Swish", "cannot import 'no_such_module'"),
        ("{layers}:Swoosh", "has no 'Swoosh'"),
        ("{layers}:Needy", "name what can be called without arguments"),
        ("{layers}:", "names no layer"),
        ("{broken}:Swish", "cannot import '{broken}': SyntaxError"),
        ("{layers}:number", "is a int, expected a minilstm.Layer"),
    ],
)
def test_what_cannot_be_checked_is_named_on_stderr_with_exit_code_two(layers, where, message, tmp_path, capsys):
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    assert cli.main(["gradcheck", where.format(layers=layers, broken=broken)]) == 2
    assert message.format(broken=broken) in capsys.readouterr().err


def test_a_mistake_in_a_readers_layer_is_shown_with_its_place_and_exit_code_two(layers, capsys):
    assert cli.main(["gradcheck", f"{layers}:Crash"]) == 2
    err = capsys.readouterr().err
    assert "return dy @ np.ones((7, 7)), {}" in err
    assert "could not be carried out" in err


def test_a_pipe_that_closes_early_is_no_error():
    command = f"{sys.executable} -m minilstm gradcheck | head -n 1"
    run = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert run.stdout == "plain NumPy functions\n"
    assert run.stderr == ""


@pytest.mark.parametrize("shape", [["3"], ["0", "3"], ["1", "2", "3", "4"]])
def test_an_input_shape_that_makes_no_sense_is_refused(layers, shape, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["gradcheck", f"{layers}:Swish", "--shape", *shape])
    assert "expected B D or B T D" in capsys.readouterr().err


def test_help_comes_with_examples_and_the_module_can_be_run():
    run = subprocess.run([sys.executable, "-m", "minilstm", "gradcheck", "--help"], capture_output=True, text=True)
    assert run.returncode == 0
    assert "python -m minilstm gradcheck my_layers.py:Swish" in run.stdout
    run = subprocess.run([sys.executable, "-m", "minilstm", "--version"], capture_output=True, text=True)
    assert run.stdout == f"minilstm {__version__}\n"
    assert subprocess.run([sys.executable, "-m", "minilstm"], capture_output=True).returncode == 2
