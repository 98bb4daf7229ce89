"""The benchmarks run from the command line, without the frameworks that they compare with."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

pytestmark = pytest.mark.slow
pytest.importorskip("matplotlib", reason="the benchmarks' plot needs matplotlib: pip install -e '.[demos]'")

WITHOUT_FRAMEWORKS = """
import importlib.util, runpy, sys
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("torch", "tensorflow") else find(name, *rest)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(*arguments):
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True)


@pytest.mark.parametrize("script", ["compare.py", "kernels.py"])
def test_help_shows_examples_and_imports_no_framework(script):
    result = run("-X", "importtime", BENCHMARKS / script, "--help")
    assert result.returncode == 0, result.stderr
    assert "examples:" in result.stdout
    assert f"python benchmarks/{script} " in result.stdout
    imported = {line.split("|")[-1].strip() for line in result.stderr.splitlines()}
    assert "minilstm" in imported
    assert not imported & {"torch", "tensorflow", "keras"}


def test_a_comparison_writes_table_and_picture_and_names_what_is_missing(tmp_path):
    result = run(
        "-c", WITHOUT_FRAMEWORKS, BENCHMARKS / "compare.py", "--data", "builtin", "--reviews", "64", "--repeats", "1",
        "--models", "cnn", "lstm", "--sizes", "tutorial", "--frameworks", "minilstm", "torch", "--out", tmp_path,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "skipped: torch (torch is not installed)" in result.stdout
    text = (tmp_path / "results.md").read_text(encoding="utf-8")
    assert text in result.stdout
    assert "Skipped: torch (torch is not installed)." in text
    assert text.count("\n| cnn | minilstm | ") == text.count("\n| lstm | minilstm | ") == 1
    assert "| 1.00 (1.00 to 1.00) | 0.6" in text  # its ratio to itself, and a loss near log 2
    assert (tmp_path / "results.png").read_bytes().startswith(b"\x89PNG")


def test_a_wrong_path_is_an_error_in_one_line(tmp_path):
    nowhere = "--data", "no/such/archive", "--frameworks", "minilstm", "--out", tmp_path
    result = run(BENCHMARKS / "compare.py", *nowhere)
    assert result.returncode == 1
    assert "compare.py: nothing at " in result.stderr
    assert "Traceback" not in result.stderr


def test_a_kernel_is_timed_and_compared_with_its_limit():
    result = run(BENCHMARKS / "kernels.py", "--kernels", "lstm_steps_forward", "--sizes", "tutorial", "--rows", "4")
    assert result.returncode == 0, result.stderr
    assert "| lstm_steps_forward | tutorial | 4 | " in result.stdout


def test_every_kernel_has_an_entry():
    code = (
        "import kernels as k; have = {n for n in vars(k.kernels) if hasattr(getattr(k.kernels, n), 'py_func')}; "
        "print(*({n for n in have if n[0] != '_'} ^ set(k.CASES)))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True)
    assert result.stdout == "\n", result.stderr
