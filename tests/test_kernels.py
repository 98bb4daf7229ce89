"""What the kernels are made of, and where they are kept. Whole kernels are tested by test_twins.py."""

import errno
import io
import os
import stat
import sys
import tempfile

import numpy as np
import pytest
from numba.core import caching

from minilstm.activations import ACTIVATIONS
from minilstm.fast import compiled, kernels


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 2e-15)])
def test_tanh_of_the_kernels_is_right_to_the_last_digits_everywhere(dtype, tolerance):
    x = np.concatenate([np.linspace(-30, 30, 100_001), [0, 1e-30, -1e-30, 1e30, -1e30, np.inf, -np.inf]]).astype(dtype)
    y = x.copy()
    kernels._tanh(y, 1.0)
    exact = np.tanh(x.astype("float64"))
    np.testing.assert_allclose(y, exact, rtol=tolerance, atol=0)


@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
def test_nan_stays_visible(name):
    x = np.array([np.nan, 1.0])
    kernels._activate(x, kernels.number_of(name))
    assert np.isnan(x[0])


@pytest.mark.parametrize("name", kernels.ACTIVATIONS)
def test_the_kernels_know_each_activation_and_its_slope_by_number(name, rng):
    x, dy, number = rng.standard_normal(20), rng.standard_normal(20), kernels.number_of(name)
    y = x.copy()
    kernels._activate(y, number)
    np.testing.assert_allclose(y, ACTIVATIONS[name].forward(x), atol=1e-15)
    slope = kernels._slope_of(number, np.float64)
    dx = [d * kernels._slope(y_j, slope) for d, y_j in zip(dy, y, strict=True)]
    np.testing.assert_allclose(dx, ACTIVATIONS[name].backward(dy, y), atol=1e-15)


@pytest.mark.parametrize("B", [0, 1, 7, 8, 9, 16])
def test_the_product_in_blocks_of_rows_leaves_no_row_out(B, rng):
    A, M, out = rng.standard_normal((B, 3)), rng.standard_normal((3, 5)), np.full((B, 5), np.nan)
    kernels._product(out, A, M)
    np.testing.assert_allclose(out, A @ M, atol=1e-14)


def test_the_largest_of_a_window_may_be_nan_or_minus_infinity_and_the_first_of_ties_wins():
    rows = np.array([[1.0, -np.inf, np.nan], [1.0, -np.inf, 5.0], [0.0, 7.0, 5.0]])
    y, at_max = kernels.max_pool_windows_forward(rows, np.array([[[0, 1], [-1, 2], [-1, -1]]], np.int32))
    np.testing.assert_array_equal(y[0], [[1, -np.inf, np.nan], [0, 7, 5], [0, 0, 0]])
    assert at_max[0, 0, 0] == 0
    assert at_max[0, 2].tolist() == [-1, -1, -1]


# Where compiled kernels are kept


def triple(x):
    return 3 * x


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """The usual folder and the temporary one, both empty."""
    usual, temporary = tmp_path / "usual", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(compiled.config, "CACHE_DIR", str(usual))
    places = [place for place in caching.CacheImpl._locator_classes if "UserProvided" in place.__name__]
    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", places)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    compiled.say_once.cache_clear()
    return usual, temporary


def hits_of_a_new_process():
    """Run a kernel as a new process would; return how often it was found on disk."""
    kernel = compiled.compiled(triple)
    assert kernel(2) == 6
    return sum(kernel.stats.cache_hits.values())


def test_a_kernel_is_compiled_once_and_then_read_from_the_usual_folder(folders, capsys):
    assert [hits_of_a_new_process() for _ in range(2)] == [0, 1]
    assert list(folders[1].iterdir()) == []
    assert capsys.readouterr().err == ""


DAMAGES = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "one byte": lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 255]) + data[len(data) // 2 + 1 :],
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", ["nbc", "nbi"])
def test_a_damaged_file_is_compiled_again_and_one_line_says_so(kind, damage, folders, capsys):
    hits_of_a_new_process()
    (file,) = folders[0].rglob(f"*.{kind}")
    file.write_bytes(DAMAGES[damage](file.read_bytes()))
    assert [hits_of_a_new_process() for _ in range(2)] == [0, 1]
    lines = capsys.readouterr().err.splitlines()
    if (kind, damage) != ("nbi", "one byte"):  # which may only make an index outdated
        assert lines == [f"minilstm: the compiled kernels in {file.parent} are damaged, so they are compiled again"]


def full_disk(usual, monkeypatch):
    save = caching.IndexDataCacheFile._save_data

    def no_space(self, name, data):
        if str(usual) in self._cache_path:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(self, name, data)

    monkeypatch.setattr(caching.IndexDataCacheFile, "_save_data", no_space)
    return "No space left on device"


def read_only_folder(usual, monkeypatch):
    usual.write_text("a file, so that no folder can be made here")
    return "read-only"


@pytest.mark.parametrize("trouble", [full_disk, read_only_folder])
def test_what_the_usual_folder_cannot_keep_is_kept_in_a_private_temporary_one(trouble, folders, monkeypatch, capsys):
    usual, temporary = folders
    reason = trouble(usual, monkeypatch)
    assert hits_of_a_new_process() == 0
    (private,) = temporary.iterdir()
    assert os.name == "nt" or stat.S_IMODE(private.stat().st_mode) == 0o700
    (line,) = capsys.readouterr().err.splitlines()
    assert f"kept in {private}" in line
    assert reason in line
    assert "set NUMBA_CACHE_DIR" in line
    assert hits_of_a_new_process() == 1
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes")
@pytest.mark.parametrize("unsafe", ["others may write to it", "a link", "missing"])
def test_no_code_is_loaded_from_a_temporary_folder_that_others_can_write_to(unsafe, folders, monkeypatch, capsys):
    usual, temporary = folders
    read_only_folder(usual, monkeypatch)
    hits_of_a_new_process()
    (private,) = temporary.iterdir()
    if unsafe == "others may write to it":
        private.chmod(0o777)
    elif unsafe == "a link":
        private.rename(temporary / "elsewhere").chmod(0o700)
        private.symlink_to(temporary / "elsewhere")
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    compiled.say_once.cache_clear()
    capsys.readouterr()
    assert [hits_of_a_new_process() for _ in range(2)] == [0, 0]
    (line,) = capsys.readouterr().err.splitlines()
    assert "kept nowhere, so each process compiles them" in line


def test_on_a_terminal_the_first_run_says_once_that_kernels_are_compiled(folders, monkeypatch):
    class Screen(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", screen := Screen())
    hits_of_a_new_process()
    hits_of_a_new_process()
    assert screen.getvalue() == "minilstm: compiling the kernels, once on this machine: some 10 seconds in all\n"


@pytest.mark.parametrize("stderr", [None, "closed"])
def test_a_message_that_cannot_be_printed_stops_nothing(stderr, folders, monkeypatch):
    if stderr:
        stderr = io.StringIO()
        stderr.close()
    monkeypatch.setattr(sys, "stderr", stderr)
    read_only_folder(folders[0], monkeypatch)
    assert hits_of_a_new_process() == 0
