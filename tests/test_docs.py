"""What the README says can be run, is run."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import minilstm
from minilstm.tools.gradcases import check_all

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_script_in_the_readme_runs_on_real_reviews(imdb_archive, monkeypatch, tmp_path):
    monkeypatch.setenv("MINILSTM_DATA", str(imdb_archive))
    scripts = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = next(script for script in scripts if "load_imdb" in script).replace("epochs=3", "epochs=1")
    file = tmp_path / "script.py"
    file.write_text(script, encoding="utf-8")
    run = subprocess.run([sys.executable, str(file)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "accuracy 0." in run.stdout


def test_the_first_command_of_the_readme_ends_at_once_on_a_python_that_is_too_old(monkeypatch):
    code = re.search(r"^python3 -c '(.*)' &&$", README, re.MULTILINE)[1]
    oldest = tuple(
        map(int, re.search(r'requires-python = ">=(\d+)\.(\d+)"', (ROOT / "pyproject.toml").read_text()).groups())
    )
    for version, outcome in ((oldest, False), ((oldest[0], oldest[1] - 1, 99), "minilstm needs Python 3.11 or newer")):
        monkeypatch.setattr(sys, "version_info", version)
        with pytest.raises(SystemExit) as ended:
            exec(code)
        assert ended.value.code == outcome


def test_the_lines_that_the_readme_shows_are_those_of_the_lstm():
    source = (ROOT / "minilstm" / "layers" / "lstm.py").read_text(encoding="utf-8")
    shown = "".join(re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2]).splitlines()
    assert [line for line in shown if f"\n        {line}\n" not in source] == []


def test_the_reading_order_of_the_readme_is_that_of_the_package_and_names_every_file_of_the_lesson():
    order = textwrap.dedent(re.search(r"order:\n\n((?:    .*\n)+)", minilstm.__doc__)[1])
    assert f"```\n{order}```" in README, f"paste this into README.md, between ``` and ```:\n{order}"
    files = [path for folder in (".", "layers") for path in (ROOT / "minilstm" / folder).glob("*.py")]
    lesson = {path.relative_to(ROOT / "minilstm").as_posix() for path in files if not path.name.startswith("__")}
    assert set(re.findall(r"^\S+", order, re.MULTILINE)) == lesson - {"arrays.py", "version.py"}


def test_the_figures_about_the_code_itself_are_right():
    gradients = sum(len(report.checks) for report in check_all())
    assert f"{gradients} of {gradients} gradients right" in README
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    lesson = [*(ROOT / "minilstm").glob("*.py"), *(ROOT / "minilstm" / "layers").glob("*.py")]
    lesson = [path for path in lesson if path.name not in ("__main__.py", "version.py", "arrays.py")]
    lesson.remove(ROOT / "minilstm" / "__init__.py")
    texts = [path.read_text(encoding="utf-8").splitlines() for path in lesson]
    count = sum(map(len, texts))
    assert f"The lesson has {count:,} lines of Python" in contributing, f"it has {count:,} lines"
    catalogue = (ROOT / "tests" / "museum" / "README.md").read_text(encoding="utf-8")
    rows = [line for line in catalogue.splitlines() if line.startswith("| ") and "`test_" in line]
    met = sum("](http" in row for row in rows)
    assert f"{met} of the {len(rows)} were met" in catalogue
    assert f"plants {len(rows)} bugs, {met} of them met in other projects" in contributing


def test_every_file_that_the_documents_name_exists():
    for document in (
        "README.md",
        "CONTRIBUTING.md",
        "demos/README.md",
        "experiments/what_we_found.md",
        "experiments/README.md",
    ):
        text = (ROOT / document).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w/]+\.py)`", text):
            if "yours" not in name:
                places = (ROOT, ROOT / "minilstm", ROOT / "minilstm" / "fast", ROOT / "demos", (ROOT / document).parent)
                assert any((place / name).exists() for place in places), f"{document}: {name}"
