"""``python -m minilstm museum``: a bug is planted in a copy, and the test that is named for it fails there."""

import hashlib
import re
import shlex
import subprocess
import sys

import pytest

from minilstm.tools import cli

museum = cli.import_file(cli.ROOT / "tests" / "museum" / "command.py")
EXHIBITS = museum.read_exhibits()
BIAS, CLIPPED = "three gates share one bias", "each gradient is clipped by itself"
SCALED = "dropout scales by the wrong fraction"  # the gradient check does not see it


@pytest.fixture
def few(monkeypatch):
    """A museum of two bugs."""
    two = {name: EXHIBITS[name] for name in (CLIPPED, SCALED)}
    monkeypatch.setattr(museum, "read_exhibits", lambda: two)
    monkeypatch.setattr(cli, "import_file", lambda path: museum)  # the command would import a museum of its own
    return two


def digest():
    """A digest of every file of the library."""
    files = sorted((museum.ROOT / "minilstm").rglob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def test_without_a_name_every_bug_is_listed_with_its_file_and_the_test_that_finds_it(capsys):
    assert cli.main(["museum"]) == 0
    intro, *lines = capsys.readouterr().out.splitlines()
    assert intro.startswith(f"{len(EXHIBITS)} bugs")
    assert f'python -m minilstm museum "{BIAS}"' in intro
    file, listed = None, {}
    for line in filter(None, lines):
        if match := re.fullmatch("in minilstm/(.+)", line):
            file = match[1]
        else:
            name, test = re.fullmatch(r"  (.+?) {2,}(\S.*)", line).groups()
            listed[name] = file, test
    assert listed == {name: (exhibit.edits[0][0], exhibit.found_by) for name, exhibit in EXHIBITS.items()}


def test_a_bug_is_shown_line_by_line_and_found_by_its_test_while_the_library_stays_as_it_is(capsys):
    before = digest()
    assert cli.main(["museum", "SCALES by the wrong"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{SCALED}\n")
    assert re.search(r"^-.*\(1 / \(1 - rate\)\)", out, re.MULTILINE)
    assert re.search(r"^\+.*\(1 / rate\)", out, re.MULTILINE)
    assert f"running tests/{EXHIBITS[SCALED].found_by}" in out
    assert "    assert set(np.unique(y)) == {0, 1.25}" in out
    assert "Extra items in the right set:" in out
    assert re.search(r"^found: the test fails, after \d+\.\d s$", out, re.MULTILINE)
    assert f"{EXHIBITS[SCALED].unseen_by} does not see it: forward and backward agree" in out
    assert len(out.splitlines()) < 40
    assert digest() == before


def test_a_bug_that_its_test_does_not_find_makes_the_exit_code_one(few, capsys):
    few[CLIPPED] = few[CLIPPED]._replace(found_by=EXHIBITS[BIAS].found_by)
    assert cli.main(["museum", CLIPPED]) == 1
    out = capsys.readouterr().out
    assert "    the test passes\n" in out
    assert "NOT FOUND, after" in out


def test_all_bugs_get_a_line_each_and_a_count(few, capsys):
    assert cli.main(["museum", "--all"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "2 of 2 bugs found"
    for line, (name, exhibit) in zip(lines, few.items(), strict=True):
        assert re.fullmatch(rf"{name} +\d+\.\d s  found by {re.escape(exhibit.found_by)}", line)


def test_a_bug_that_can_no_longer_be_planted_does_not_keep_the_others_from_being_found(few, capsys):
    few[CLIPPED] = few[CLIPPED]._replace(edits=(("optimizers.py", "no such line", "wrong"),))
    assert cli.main(["museum", "--all"]) == 1
    out, err = capsys.readouterr()
    first, second, last = out.splitlines()
    assert "NOT FOUND by" in first
    assert "found by" in second
    assert last == "1 of 2 bugs found"
    assert "minilstm/optimizers.py has changed: 'no such line' does not occur exactly once" in err
    assert cli.main(["museum", CLIPPED]) == 1
    assert "minilstm museum: minilstm/optimizers.py has changed" in capsys.readouterr().err


def test_a_test_that_cannot_be_run_has_not_found_the_bug():
    with museum.repository_copy() as folder:
        found, _, message = museum.find(
            folder, EXHIBITS[CLIPPED]._replace(found_by="test_optimizers.py::test_of_nothing")
        )
    assert not found
    assert "test_of_nothing" in message


def test_of_several_failures_that_hypothesis_found_one_is_shown():
    name = "reversal ignores the lengths"
    with museum.repository_copy() as folder:
        found, _, message = museum.find(folder, EXHIBITS[name])
        assert str(folder) not in message
    assert found
    assert message.splitlines()[1].startswith("    assert np.array_equal(flip(x, n)[b, ")
    assert "Failing test case" in message or "Falsifying example" in message
    assert "+--" not in message


def test_the_tests_of_the_copy_refuse_another_minilstm(tmp_path):
    (tmp_path / "minilstm").mkdir()  # where the copy should be; it is not what Python finds first
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(museum.ROOT)!r})\n{museum.CONFTEST}"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "AssertionError" in ran.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "the forget gates slope is no slop",
            'no bug is named .*; expected "the forget gate\'s slope is no slope" or .*',
        ),
        ("adam", "3 bugs have 'adam' in their names; expected .*'Adam forgets its means after each step'"),
        ("the", r"\d+ bugs have 'the' in their names; expected .* or \.\.\."),
        ("xyzzy", "no bug is named 'xyzzy'; expected one of those that museum lists without a name"),
    ],
)
def test_a_name_that_is_not_that_of_one_bug_is_refused_in_one_line_with_those_that_are_close(name, message, capsys):
    assert cli.main(["museum", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(f"minilstm museum: {message}\n", err)


def test_the_whole_name_of_a_bug_is_enough_where_it_is_part_of_another_and_needs_no_quotes():
    assert museum.choose("A Bug", ["a bug", "a bug in a rug"]) == "a bug"
    assert museum.choose("in a", ["a bug", "a bug in a rug"]) == "a bug in a rug"
    options = cli.make_parser().parse_args(["museum", *BIAS.split()])
    assert museum.choose(" ".join(options.name), EXHIBITS) == BIAS


@pytest.mark.parametrize("arguments", [[], [BIAS], ["--all"]])
def test_without_a_clone_the_command_says_in_one_line_that_it_needs_one(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli, "ROOT", tmp_path)
    assert cli.main(["museum", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("minilstm museum: ")
    assert err.endswith("command.py does not exist: this command needs a clone of the repository\n")
    assert err.count("\n") == 1


def test_without_pytest_bugs_are_listed_but_not_planted(monkeypatch, capsys):
    real = museum.importlib.util.find_spec
    monkeypatch.setattr(museum.importlib.util, "find_spec", lambda name: None if name == "pytest" else real(name))
    assert cli.main(["museum"]) == 0
    assert cli.main(["museum", BIAS]) == 1
    assert "needs pytest to run the tests" in capsys.readouterr().err


def test_a_name_and_all_exclude_each_other(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["museum", BIAS, "--all"])
    assert "expected one of them" in capsys.readouterr().err


def test_help_comes_with_examples_that_name_bugs(capsys):
    with pytest.raises(SystemExit, match="0"):
        cli.main(["museum", "--help"])
    examples = re.findall(r"python -m minilstm (.+)$", capsys.readouterr().out.split("examples", 1)[1], re.MULTILINE)
    assert len(examples) >= 3
    for example in examples:
        options = cli.make_parser().parse_args(shlex.split(example))
        assert not options.name or museum.choose(" ".join(options.name), EXHIBITS) == BIAS
