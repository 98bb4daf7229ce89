"""A file comes back as it was written or not at all, and whatever goes wrong, the one before it stays whole."""

import contextlib
import errno
import io
import json
import os
import pickle
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors

from minilstm.data import paths
from minilstm.runs import files

ABOUT = {"kind": "test", "words": ["naïve", "映画", "\ud800", 'a"b\\'], "numbers": [1, 0.1, 1e300, None, True]}
BITS = np.array([0x7FC00001, 0xFFC12345, 0x7F800000, 0xFF800000, 0x80000000, 1], np.uint32).view(np.float32)
ARRAYS = {
    "float32: NaNs with a payload, infinities, -0.0, a subnormal": BITS,
    "float64": np.array([np.pi, -0.0, np.nan, np.inf, 5e-324]),
    "int64": np.array([[-(2**63), 2**63 - 1]]),
    "uint8": np.arange(256, dtype=np.uint8).reshape(2, 2, 64),
    "bool": np.array([True, False]),
    "empty": np.zeros((0, 3), np.float32),
    "empty at the end": np.zeros((3, 0)),
    "a number": np.float64(3.5),
    "0-d": np.array(7),
    "column by column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "every other one": np.arange(10.0)[::2],
    "backwards": np.arange(10.0, dtype=np.float32)[::-1],
    "transposed": np.arange(6).reshape(2, 3).T,
    "repeated": np.broadcast_to(np.float32(1.5), (3, 4)),
    "the other order of bytes": BITS.astype(BITS.dtype.newbyteorder()),
    "read-only": np.frombuffer(b"12345678", np.int64),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.safetensors"


@pytest.fixture
def written(path):
    files.write(path, {"W": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.zeros(4)}, ABOUT)
    return path


def signed(path, header, body=b""):
    """Write a file by hand, with a checksum that fits."""
    head = json.dumps(header).encode()
    data = len(head).to_bytes(8, "little") + head + body
    at = data.find(files.MARK) + len(files.MARK)
    path.write_bytes(data[:at] + files.checksum(data, at) + data[at + 64 :])


def entry(**changes):
    whole = {"sha256": "0" * 64, "format": 1, "version": "0.1.0", "about": {}} | changes
    return {"__metadata__": {"minilstm": json.dumps(whole, separators=(",", ":"))}}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_come_back_bit_for_bit(path, name):
    array = np.asarray(ARRAYS[name])
    files.write(path, {name: array}, {})
    back = files.read(path)[0][name]
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()


def test_about_comes_back_with_its_words_order_and_types(written):
    _, about = files.read(written)
    assert repr(about) == repr(ABOUT)


def test_other_tools_can_open_it_and_find_one_entry(written):
    with safetensors.safe_open(written, "numpy") as file:
        assert sorted(file.keys()) == ["W", "b"]
        assert np.array_equal(file.get_tensor("W"), np.arange(12).reshape(3, 4))
        assert list(file.metadata()) == ["minilstm"]
        assert json.loads(file.metadata()["minilstm"])["about"] == ABOUT


def test_the_same_content_gives_the_same_bytes(written, tmp_path):
    tensors, about = files.read(written)
    files.write(tmp_path / "again", tensors, about)
    assert (tmp_path / "again").read_bytes() == written.read_bytes()


@pytest.mark.parametrize(
    "wrong", [{"a": (1, 2)}, {"a": {1: 2}}, {"a": np.float32(1)}, {"a": float("nan")}, {"a": {1, 2}}, {"a": b"bytes"}]
)
def test_what_json_would_lose_or_change_is_refused(path, wrong):
    with pytest.raises(TypeError, match=r"file.safetensors was not saved: .*such as model.metadata, must be dicts"):
        files.write(path, {}, wrong)
    assert not path.exists()


def test_an_about_without_end_is_refused(path):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(TypeError, match="was not saved"):
        files.write(path, {}, {"deep": deep})


@pytest.mark.parametrize("dtype", ["complex128", "object", "U3", "M8[s]"])
def test_arrays_of_other_kinds_are_refused(path, dtype):
    with pytest.raises(ValueError, match=r"file.safetensors was not saved: safetensors does not take it"):
        files.write(path, {"a": np.zeros(2, dtype)}, {})
    assert not path.exists()


# What cannot be read.


def test_a_thousand_corruptions_are_all_noticed(written, tmp_path):
    data, rng = written.read_bytes(), np.random.default_rng(0)
    copy, tried = tmp_path / "copy", 0
    while tried < 1000:
        bad, kind = bytearray(data), rng.integers(7)
        a, b = sorted(rng.integers(0, len(data) + 1, 2))
        if kind == 0:  # one bit
            bad[a % len(data)] ^= 1 << rng.integers(8)
        elif kind == 1:  # the end is missing
            del bad[a:]
        elif kind == 2:  # a block of zeros
            bad[a:b] = bytes(b - a)
        elif kind == 3:  # a block twice
            bad[b:b] = bad[a:b]
        elif kind == 4:  # a block is missing
            del bad[a:b]
        elif kind == 5:  # two parts change places
            bad = bad[b:] + bad[a:b] + bad[:a]
        else:  # something behind the end
            bad += rng.bytes(1 + a)
        if bad == data:
            continue
        copy.write_bytes(bad)
        with pytest.raises(ValueError, match=r"copy .*; expected a file that minilstm saved; take another copy"):
            files.read(copy)
        tried += 1


def test_every_byte_counts(written):
    data = written.read_bytes()
    for n in range(len(data)):
        written.write_bytes(data[:n] + bytes([data[n] ^ 1]) + data[n + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            files.read(written)


def npz(arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        pickle.dumps({"W": 1}),
        npz({"W": np.ones(3)}),
        b"\xff" * 7 + b"\x7f{}",
        (10**15).to_bytes(8, "little") + b'{"__metadata__":',
        b"\x89PNG\r\n" + bytes(1000),
    ],
    ids=["empty", "one byte", "HTML", "pickle", "npz", "header of 2**63", "header of 10**15", "PNG"],
)
def test_another_kind_of_file_is_refused_by_name_with_a_remedy(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file.safetensors is not a file of minilstm's.*expected a file that"):
        files.read(path)


def test_a_safetensors_file_of_somebody_else_is_refused(path):
    from safetensors.numpy import save_file

    save_file({"W": np.ones(3)}, path, {"format": "pt"})
    with pytest.raises(ValueError, match="not a file of minilstm's"):
        files.read(path)


def test_a_folder_or_a_device_is_refused_and_a_missing_file_is_an_oserror(tmp_path):
    for place in (tmp_path, *(p for p in (Path("/dev/null"),) if p.exists())):
        with pytest.raises(ValueError, match="is a folder or a device, expected the name of a file"):
            files.read(place)
        with pytest.raises(ValueError, match="is a folder or a device, expected the name of a file"):
            files.write(place, {}, {})
    with pytest.raises(FileNotFoundError, match="missing"):
        files.read(tmp_path / "missing")


def test_a_later_format_is_refused_with_the_version_that_wrote_it(path):
    signed(path, entry(format=2, version="9.8.7", about=["another", "structure"]))
    with pytest.raises(ValueError, match=r"has format 2, of minilstm 9.8.7, .* install a later minilstm"):
        files.read(path)


DEEP = '{"sha256":"' + "0" * 64 + '","about":' + "[" * 100_000 + "]" * 100_000 + "}"
FORGED = {
    "no about": {"__metadata__": {"minilstm": '{"sha256":"' + "0" * 64 + '","format":1}'}},
    "about is no dict": entry(about=[1]),
    "format is a word": entry(format="1"),
    "entry is a list": {"__metadata__": {"minilstm": '[{"sha256":"' + "0" * 64 + '"}]'}},
    "entry has another name": {"__metadata__": {"other": entry()["__metadata__"]["minilstm"]}},
    "nested without end": {"__metadata__": {"minilstm": DEEP}},
    "an array longer than the file": {
        **entry(), "a": {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 4 * 10**15]}
    },
    "a shape that is not its bytes": {**entry(), "a": {"dtype": "F32", "shape": [10**15], "data_offsets": [0, 0]}},
    "an axis beyond numpy": {**entry(), "a": {"dtype": "F32", "shape": [2**63, 0], "data_offsets": [0, 0]}},
    "an unknown dtype": {**entry(), "a": {"dtype": "BF16", "shape": [0], "data_offsets": [0, 0]}},
    "a hole": {**entry(), "a": {"dtype": "F32", "shape": [0], "data_offsets": [8, 8]}},
}  # fmt: skip


@pytest.mark.parametrize("header", FORGED.values(), ids=FORGED)
def test_a_forged_header_with_a_right_checksum_is_refused_without_much_memory(path, header):
    signed(path, header)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"file.safetensors (is malformed|is not a file of minilstm's)"):
        files.read(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_no_code_in_a_file_is_run(path, tmp_path):
    target = tmp_path / "run"
    payload = pickle.dumps(Payload(target))
    for content in (payload, npz({"a": np.array([Payload(target)], object)})):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="not a file of minilstm's"):
            files.read(path)
    files.write(path, {"a": np.frombuffer(payload, np.uint8)}, {"payload": payload.decode("latin-1")})
    files.read(path)
    assert not target.exists()
    pickle.loads(payload)
    assert target.exists()  # it would have been


# What cannot be written.


@contextlib.contextmanager
def the_earlier_file_stays(path):
    before, mode = path.read_bytes(), path.stat().st_mode
    yield
    assert path.read_bytes() == before
    assert path.stat().st_mode == mode
    assert list(path.parent.iterdir()) == [path]


def fail(error):
    def function(*args, **kwargs):
        raise error

    return function


@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace", "pathlib.Path.open", "pathlib.Path.chmod"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO])
def test_an_error_of_the_system_names_file_and_remedy_and_leaves_the_earlier_file(written, monkeypatch, where, number):
    error = OSError(number, os.strerror(number))
    with the_earlier_file_stays(written):
        monkeypatch.setattr(where, fail(error))
        with pytest.raises(
            type(error), match=r"an earlier file is unchanged.*save elsewhere: .*file.safetensors"
        ) as caught:
            files.write(written, {"W": np.ones(9)}, {})
        monkeypatch.undo()
    assert caught.value.errno == number


def test_a_disk_that_is_full_halfway_leaves_the_earlier_file(written):
    resource = pytest.importorskip("resource")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with the_earlier_file_stays(written):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
        try:
            with pytest.raises(OSError, match="an earlier file is unchanged"):
                files.write(written, {"W": np.ones(100_000)}, {})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("where", ["os.fsync", "pathlib.Path.replace"])
def test_an_interruption_leaves_the_earlier_file(written, monkeypatch, where):
    with the_earlier_file_stays(written):
        monkeypatch.setattr(where, fail(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            files.write(written, {"W": np.ones(9)}, {})
        monkeypatch.undo()


def test_a_folder_that_cannot_be_synced_is_no_error(path, monkeypatch):
    monkeypatch.setattr(os, "open", fail(PermissionError(13, "no folders here")))
    files.write(path, {}, ABOUT)
    monkeypatch.undo()
    assert files.read(path) == ({}, ABOUT)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"check that the folder exists.*nowhere"):
        files.write(tmp_path / "nowhere" / "file", {}, {})


@pytest.mark.skipif(paths.fcntl is None, reason="needs locks")
def test_a_save_removes_what_killed_processes_left_but_no_file_that_is_being_written(written):
    left, live = (written.with_name(f".minilstm-{name}.tmp") for name in ("left", "live"))
    left.write_bytes(b"half a file")
    with paths.locked(live):  # as while it is written
        live.write_bytes(b"half a file")
        files.write(written, {}, {})
        assert sorted(written.parent.iterdir()) == [live, written]
        assert live.read_bytes() == b"half a file"
    assert files.read(written) == ({}, {})


@pytest.mark.skipif(paths.fcntl is None, reason="needs locks")
def test_a_writer_whose_file_another_one_removed_before_it_was_locked_makes_it_again(written, monkeypatch):
    lock, tried = paths.fcntl.flock, []

    def too_late(file, how):
        if not tried:
            tried.append(Path(file.name).unlink())
        lock(file, how)

    monkeypatch.setattr(paths.fcntl, "flock", too_late)
    files.write(written, {}, {})
    assert tried
    assert files.read(written) == ({}, {})
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.skipif(paths.fcntl is None, reason="needs locks")
def test_where_files_cannot_be_locked_they_are_saved_all_the_same_and_nothing_else_is_removed(written, monkeypatch):
    left = written.with_name(".minilstm-left.tmp")
    left.write_bytes(b"half a file, or one that another machine is writing")
    monkeypatch.setattr(paths.fcntl, "flock", fail(OSError(errno.ENOLCK, "no locks available")))
    files.write(written, {}, {})
    assert files.read(written) == ({}, {})
    assert left.exists()


@pytest.mark.parametrize("name", ["m.h5", "m.KERAS", "m.weights.hdf5", "m.pt"])
def test_a_name_that_promises_another_format_is_warned_of_and_written_all_the_same(tmp_path, name):
    with pytest.warns(UserWarning, match=f"{name} is written as a safetensors file, .*end the name in .safetensors"):
        files.write(tmp_path / name, {}, ABOUT)
    assert files.read(tmp_path / name) == ({}, ABOUT)


@pytest.mark.parametrize("start", [b"", b"\x10" + bytes(7) + b'{"W":{"dtype":'], ids=["zeros", "a safetensors file"])
def test_of_a_huge_file_of_another_kind_only_the_beginning_is_read(path, start):
    path.write_bytes(start)
    os.truncate(path, 8 << 30)  # a hole, which takes no room on the disk
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"not a file of minilstm's, or it is damaged \(8589934592 bytes\)"):
        files.read(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_are_those_that_open_gives(path):
    before = os.umask(0o027)
    try:
        files.write(path, {}, {})
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o600)
    files.write(path, {}, {})
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_write_protected_file_stays_though_its_folder_may_be_written_to(written, monkeypatch):
    ordinary = Path.open

    def refuse(self, mode="r", *args, **kwargs):
        if self == written and mode != "rb":
            raise PermissionError(errno.EACCES, "Permission denied")
        return ordinary(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", refuse)
    with the_earlier_file_stays(written), pytest.raises(PermissionError, match="an earlier file is unchanged"):
        files.write(written, {}, {})


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_write_protected_file_and_a_read_only_folder_stay_as_they_were(written):
    written.chmod(0o444)
    with the_earlier_file_stays(written), pytest.raises(PermissionError, match="an earlier file is unchanged"):
        files.write(written, {}, {})
    written.chmod(0o644)
    written.parent.chmod(0o555)
    with the_earlier_file_stays(written), pytest.raises(PermissionError, match="an earlier file is unchanged"):
        files.write(written, {}, {})
    written.parent.chmod(0o755)


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path):
    (tmp_path / "far").mkdir()
    link, target = tmp_path / "link", tmp_path / "far" / "target"
    link.symlink_to(Path("far") / "target")
    for about in ({"first": 1}, {"second": 2}):
        files.write(link, {}, about)
        assert link.is_symlink()
        assert files.read(target) == ({}, about)
    assert list(target.parent.iterdir()) == [target]


def test_readers_and_writers_at_once_only_ever_meet_whole_files(written):
    def write(n):
        for _ in range(20):
            files.write(written, {"W": np.full(1000, n)}, {"n": n})

    writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        tensors, about = files.read(written)
        assert about == ABOUT or (tensors["W"] == about["n"]).all()
    assert list(written.parent.iterdir()) == [written]
