"""The review archive: read whole or in part, cut for validation, kept for the next time, and refused when damaged."""

import bz2
import errno
import gzip
import hashlib
import io
import lzma
import os
import random
import sys
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from minilstm.data import download_imdb, imdb, load_imdb

REAL = Path(__file__).parents[3] / "shared" / "imdb" / "aclImdb_labelled.tar.gz"
needs_real = pytest.mark.skipif(not REAL.exists(), reason=f"the real reviews are not at {REAL}")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep every test away from the user's own data and from the network."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("MINILSTM_CACHE", str(folder))
    monkeypatch.delenv("MINILSTM_DATA", raising=False)
    return folder


def movie_of(label, number):
    """The movie of a review in `review_files()`: two neighbours share one, and so do two of the other label."""
    return (int(number) // 2 + (label == "pos")) % 5


def review_files(n=10):
    """The files of a data set with n reviews in each of its four folders."""
    files = {
        "aclImdb/README": b"about",
        "aclImdb/train/unsup/0_0.txt": b"no label",
        "aclImdb/train/urls_unsup.txt": b"u",
    }
    for part in ("train", "test"):
        for label, rating in (("neg", 2), ("pos", 9)):
            for i in range(n):
                files[f"aclImdb/{part}/{label}/{i}_{rating}.txt"] = f"{part} {label} {i}".encode()
            urls = [f"http://movies/{part}{movie_of(label, i)}/" for i in range(n)]
            files[f"aclImdb/{part}/urls_{label}.txt"] = "\n".join(urls).encode()
    return files


def write_archive(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_folder(path, files):
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path / "tiny.tar.gz", review_files())


def as_lists(parts):
    return [(texts, labels.tolist()) for texts, labels in parts]


def movies_of(texts):
    return {movie_of(*text.split()[1:]) for text in texts}


# Reading


def test_both_parts_come_whole_with_their_labels(archive):
    for part, (texts, labels) in zip(("train", "test"), load_imdb(archive), strict=True):
        assert sorted(texts) == sorted(f"{part} {label} {i}" for label in ("neg", "pos") for i in range(10))
        assert labels.tolist() == ["pos" in text for text in texts]
        assert labels.dtype == np.int64


def test_the_order_is_random_and_not_by_label(archive):
    (_, y_train), (_, y_test) = load_imdb(archive)
    assert 0 < y_train[:10].sum() < 10
    assert 0 < y_test[:10].sum() < 10


def test_archive_plain_tar_folder_and_its_parent_give_the_same(archive, tmp_path):
    write_archive(tmp_path / "tiny.tar", review_files(), mode="w")
    write_folder(tmp_path / "unpacked", review_files())
    sources = [archive, str(archive), tmp_path / "tiny.tar", tmp_path / "unpacked", tmp_path / "unpacked" / "aclImdb"]
    results = [as_lists(load_imdb(source, validation=0.2, by_movie=True)) for source in sources]
    assert all(result == results[0] for result in results)


def test_the_order_of_the_members_does_not_matter(archive, tmp_path):
    items = list(review_files().items())
    random.Random(0).shuffle(items)
    shuffled = write_archive(tmp_path / "shuffled.tar.gz", dict(items))
    assert as_lists(load_imdb(shuffled, validation=0.2, by_movie=True)) == as_lists(
        load_imdb(archive, validation=0.2, by_movie=True)
    )


def test_texts_are_utf_8_and_a_stray_byte_harms_only_itself(tmp_path):
    files = review_files(n=1)
    files["aclImdb/train/pos/0_9.txt"] = "café — \x96".encode()
    files["aclImdb/train/neg/0_2.txt"] = b"caf\xe9!"
    (X_train, _), _ = load_imdb(write_archive(tmp_path / "utf8.tar.gz", files))
    assert set(X_train) == {"café — \x96", "caf\N{REPLACEMENT CHARACTER}!"}


def test_the_path_may_come_from_the_environment_but_an_argument_goes_first(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("MINILSTM_DATA", str(archive))
    assert len(load_imdb()[0][0]) == 20
    other = write_archive(tmp_path / "other.tar.gz", review_files(n=3))
    assert len(load_imdb(other)[0][0]) == 6


# Subsets


def test_a_subset_is_balanced_and_repeats_with_its_seed(archive):
    parts = load_imdb(archive, reviews=8, seed=5)
    assert [(len(texts), int(labels.sum())) for texts, labels in parts] == [(8, 4), (8, 4)]
    assert as_lists(load_imdb(archive, reviews=8, seed=5)) == as_lists(parts)
    assert as_lists(load_imdb(archive, reviews=8, seed=6)) != as_lists(parts)


def test_a_subset_holds_no_review_twice_and_each_keeps_its_label(archive):
    for texts, labels in load_imdb(archive, reviews=18):
        assert len(set(texts)) == 18
        assert labels.tolist() == ["pos" in text for text in texts]


def test_a_subset_may_be_all_there_is(archive):
    assert [sorted(texts) for texts, _ in load_imdb(archive, reviews=20)] == [
        sorted(texts) for texts, _ in load_imdb(archive)
    ]


def test_of_an_odd_number_one_more_is_positive(archive):
    assert [int(labels.sum()) for _, labels in load_imdb(archive, reviews=5)] == [3, 3]


@pytest.mark.parametrize("reviews", [-2, 0, 1, 21, 2.5])
def test_a_subset_of_impossible_size_is_refused_with_the_number_there_is(archive, reviews):
    with pytest.raises(ValueError, match=rf"reviews must be an integer from 2 to 20, or None for all, got {reviews}"):
        load_imdb(archive, reviews=reviews)


# Validation


def test_validation_takes_its_balanced_share_of_the_training_reviews_only(archive):
    train, validation, test = load_imdb(archive, validation=0.2)
    assert [(len(texts), int(labels.sum())) for texts, labels in (train, validation, test)] == [
        (16, 8),
        (4, 2),
        (20, 10),
    ]
    whole, test_without = load_imdb(archive)
    assert sorted(train[0] + validation[0]) == sorted(whole[0])
    assert test[0] == test_without[0]


def test_validation_is_cut_from_the_subset(archive):
    train, validation, _ = load_imdb(archive, reviews=10, validation=0.3)
    assert (len(train[0]), len(validation[0])) == (7, 3)
    assert sorted(train[0] + validation[0]) == sorted(load_imdb(archive, reviews=10)[0][0])


def test_reviews_of_one_movie_are_on_both_sides_unless_asked_otherwise(archive):
    train, validation, _ = load_imdb(archive, validation=0.4)
    assert movies_of(train[0]) & movies_of(validation[0])


@pytest.mark.parametrize("seed", range(5))
def test_by_movie_no_movie_is_on_both_sides(archive, seed):
    train, validation, _ = load_imdb(archive, validation=0.4, by_movie=True, seed=seed)
    assert not movies_of(train[0]) & movies_of(validation[0])
    assert (len(validation[0]), int(validation[1].sum())) == (8, 4)


def test_by_movie_the_fraction_is_met_as_nearly_as_whole_movies_allow(archive):
    _, validation, _ = load_imdb(archive, validation=0.25, by_movie=True)  # 5 wanted, a movie has 4
    assert len(validation[0]) == 4


def test_by_movie_needs_to_know_the_movies(tmp_path):
    files = {name: content for name, content in review_files().items() if "urls_pos" not in name}
    archive = write_archive(tmp_path / "no_urls.tar.gz", files)
    assert len(load_imdb(archive, validation=0.2)) == 3
    with pytest.raises(ValueError, match=r"by_movie=True needs train/urls_pos\.txt"):
        load_imdb(archive, validation=0.2, by_movie=True)


@pytest.mark.parametrize("validation", [-0.1, 1, 5, float("nan")])
def test_validation_must_be_a_fraction(archive, validation):
    with pytest.raises(ValueError, match=rf"validation is {validation}, expected 0 <= validation < 1"):
        load_imdb(archive, validation=validation)


@pytest.mark.parametrize("validation", [0.01, 0.99])
def test_a_validation_that_leaves_a_part_empty_is_refused(archive, validation):
    with pytest.raises(ValueError, match=rf"validation={validation} leaves one part of 4 reviews empty"):
        load_imdb(archive, reviews=4, validation=validation)


# The cache file


def refuse_to_read(*_):
    raise AssertionError("the source was read though there is a cache file")


def test_the_second_time_the_source_is_not_read(archive, cache, monkeypatch):
    first = as_lists(load_imdb(archive))
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(imdb, "_read_archive", refuse_to_read)
    assert as_lists(load_imdb(archive)) == first


def test_a_changed_archive_is_read_again(archive):
    load_imdb(archive)
    write_archive(archive, review_files(n=4))
    assert len(load_imdb(archive)[0][0]) == 8


def test_a_change_of_time_alone_is_noticed(archive, monkeypatch):
    load_imdb(archive)
    os.utime(archive, ns=(0, 12345))
    monkeypatch.setattr(imdb, "_read_archive", refuse_to_read)
    with pytest.raises(AssertionError):
        load_imdb(archive)


def test_a_change_of_size_alone_is_noticed(archive):
    load_imdb(archive)
    before = archive.stat().st_mtime_ns
    write_archive(archive, review_files(n=4))
    os.utime(archive, ns=(before, before))
    assert len(load_imdb(archive)[0][0]) == 8


def test_a_file_renamed_in_a_folder_is_noticed(tmp_path):
    train = write_folder(tmp_path, review_files()) / "aclImdb" / "train"
    for file in train.rglob("*.txt"):
        os.utime(file, ns=(0, 0))
    load_imdb(tmp_path)
    (train / "pos" / "9_9.txt").rename(train / "neg" / "19_1.txt")
    assert load_imdb(tmp_path)[0][1].sum() == 9


def test_a_changed_folder_is_read_again(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, review_files())
    load_imdb(folder)
    (folder / "aclImdb" / "train" / "pos" / "10_9.txt").write_text("one more")
    assert "one more" in load_imdb(folder)[0][0]
    monkeypatch.setattr(imdb, "_read_folder", refuse_to_read)
    assert "one more" in load_imdb(folder)[0][0]


def test_two_sources_have_two_cache_files(archive, tmp_path, cache):
    load_imdb(archive)
    load_imdb(write_archive(tmp_path / "other.tar.gz", review_files(n=3)))
    assert len(list(cache.iterdir())) == 2
    assert len(load_imdb(archive)[0][0]) == 20


def test_a_damaged_cache_file_is_rebuilt(archive, cache):
    expected = as_lists(load_imdb(archive))
    (file,) = cache.iterdir()
    whole = file.read_bytes()
    damaged = [b"", b"nonsense", whole[: len(whole) // 2]]
    for at in range(0, len(whole), 97):
        damaged.append(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
    for content in damaged:
        file.write_bytes(content)
        assert as_lists(load_imdb(archive)) == expected
    assert [each.name for each in cache.iterdir()] == [file.name]


def test_without_a_writable_cache_folder_it_works_all_the_same(archive, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("MINILSTM_CACHE", str(tmp_path / "occupied"))
    assert len(load_imdb(archive)[0][0]) == 20


def test_a_failed_write_leaves_nothing_behind(archive, cache, monkeypatch):
    def fill_the_disk(_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", fill_the_disk)
    assert len(load_imdb(archive)[0][0]) == 20
    assert list(cache.iterdir()) == []


# What is refused


def test_a_path_with_nothing_there_is_told_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing at .*missing\.tar\.gz.*aclImdb_v1\.tar\.gz.*MINILSTM_DATA"):
        load_imdb(tmp_path / "missing.tar.gz")


@pytest.mark.parametrize(
    "content", [b"", b"no archive at all" * 100, b"\x1f\x8b but not really", gzip.compress(b"text", mtime=0)]
)
def test_what_is_no_archive_is_refused_and_left_as_it_was(tmp_path, content):
    file = tmp_path / "wrong.tar.gz"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"wrong\.tar\.gz is damaged or not a tar archive \(.+\): get https://"):
        load_imdb(file)
    assert file.read_bytes() == content


def test_a_truncated_archive_is_refused_wherever_it_ends(archive, tmp_path, cache):
    whole = archive.read_bytes()
    for end in range(20, len(whole), len(whole) // 23):
        cut = tmp_path / f"cut{end}.tar.gz"
        cut.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"cut\d+\.tar\.gz is damaged"):
            load_imdb(cut)
    assert not cache.exists()


def test_one_wrong_byte_in_an_archive_is_noticed_or_does_no_harm(archive, tmp_path):
    whole = archive.read_bytes()
    expected = as_lists(load_imdb(archive))
    refused = []
    for at in range(20, len(whole), 7):
        wrong = tmp_path / "wrong.tar.gz"
        wrong.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        try:
            result = as_lists(load_imdb(wrong))
        except ValueError as error:
            refused.append("wrong.tar.gz is damaged" in str(error))
        else:
            assert result == expected  # a run of zeros can be packed in more ways than one
    assert len(refused) > 100
    assert all(refused)


def test_a_stretch_of_wrong_bytes_within_a_review_is_noticed(tmp_path):
    long_review = np.random.default_rng(0).bytes(100_000)
    archive = write_archive(tmp_path / "scratched.tar.gz", review_files() | {"aclImdb/test/pos/10_9.txt": long_review})
    whole = archive.read_bytes()
    archive.write_bytes(whole[:20_000] + b"\xff" * 70_000 + whole[90_000:])
    with pytest.raises(ValueError, match=r"scratched\.tar\.gz is damaged"):
        load_imdb(archive)


def test_an_archive_or_folder_without_reviews_is_refused(tmp_path):
    archive = write_archive(tmp_path / "holiday.tar.gz", {"photos/beach.jpg": b"sand"})
    with pytest.raises(
        ValueError,
        match=r"holiday\.tar\.gz lacks reviews, it has 0 in train/pos.* named like 0_9\.txt: .*texts of your own",
    ):
        load_imdb(archive)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty lacks reviews, it has 0 in train/pos"):
        load_imdb(tmp_path / "empty")


def test_a_source_without_one_of_the_labels_is_refused(tmp_path):
    files = {name: content for name, content in review_files().items() if "test/neg/" not in name}
    with pytest.raises(ValueError, match="10 in train/pos, 10 in train/neg, 10 in test/pos, 0 in test/neg"):
        load_imdb(write_archive(tmp_path / "half.tar.gz", files))


def test_a_member_too_large_for_a_review_is_refused(tmp_path):
    files = review_files() | {"aclImdb/train/pos/10_9.txt": bytes(imdb.LARGEST + 1)}
    with pytest.raises(ValueError, match=r"1048577 bytes are too many for aclImdb/train/pos/10_9\.txt"):
        load_imdb(write_archive(tmp_path / "bomb.tar.gz", files))


@pytest.mark.parametrize(("name", "compress"), [("r.tar.xz", lzma.compress), ("r.tar.bz2", bz2.compress)])
def test_an_archive_may_be_compressed_in_other_ways(tmp_path, name, compress):
    path = tmp_path / name
    path.write_bytes(compress(tarred(review_files())))
    assert len(load_imdb(path)[0][0]) == 20
    path.write_bytes(path.read_bytes()[:-9] + b"x" * 9)
    with pytest.raises(ValueError, match=rf"{name} is damaged or not a tar archive \(.*by hand"):
        load_imdb(path)


def test_a_zip_archive_is_refused_with_the_remedy(tmp_path):
    path = tmp_path / "reviews.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("aclImdb/train/pos/0_9.txt", "fine")
    with pytest.raises(ValueError, match=r"reviews\.zip is a zip archive: unpack it and give the path of the folder"):
        load_imdb(path)


def test_an_archive_that_cannot_be_read_keeps_the_error_of_the_system(archive, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Input/output error", "archive")

    monkeypatch.setattr(imdb, "decompressed", fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        load_imdb(archive)
    assert not isinstance(caught.value, ValueError)


def test_links_in_an_archive_are_not_followed(tmp_path):
    path = write_archive(tmp_path / "links.tar", review_files(), mode="w")
    with tarfile.open(path, "a") as archive:
        link = tarfile.TarInfo("aclImdb/train/pos/10_9.txt")
        link.type = tarfile.SYMTYPE
        link.linkname = "/etc/passwd"
        archive.addfile(link)
    assert len(load_imdb(path)[0][0]) == 20


def header(name, size, kind=tarfile.REGTYPE):
    """The head of a member that says how long it is."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def padded(content):
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)


def tarred(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


SIZE_RECORD = b"22 size=-99999999999999\n"
BOMBS = {
    "a member that nobody wants": header("aclImdb/README", 1 << 40),
    "a long name": header("././@LongLink", 1 << 33, tarfile.GNUTYPE_LONGNAME) + bytes(1 << 20),
    "a pax header": header("pax", 1 << 20, tarfile.XHDTYPE) + b"1" * (1 << 20),  # matched in quadratic time
    "names of names": 3000 * (header("n", 5, tarfile.GNUTYPE_LONGNAME) + padded(b"name")),
    "a negative size": header("pax", len(SIZE_RECORD), tarfile.XHDTYPE) + padded(SIZE_RECORD) + header("a", 0),
    "a hole": header("aclImdb/train/pos/7_1.txt", 9, tarfile.GNUTYPE_SPARSE),
}


@pytest.mark.parametrize("bomb", BOMBS)
@pytest.mark.parametrize("packed", [True, False])
def test_an_archive_that_would_never_end_or_fill_the_memory_is_refused(tmp_path, bomb, packed):
    content = BOMBS[bomb] + tarred(review_files())
    path = tmp_path / "bomb.tar.gz"
    path.write_bytes(gzip.compress(content, 1) if packed else content)
    with pytest.raises(ValueError, match=r"bomb\.tar\.gz is damaged or not a tar archive"):
        load_imdb(path)


def test_an_endless_tail_is_read_no_further_than_the_most_that_an_archive_has(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb, "MOST", 1 << 24)
    path = tmp_path / "tail.tar.gz"
    path.write_bytes(gzip.compress(tarred(review_files()) + bytes(1 << 26), 1))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"it continues at byte .*, expected .* at most 16777216"):
        load_imdb(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 23
    tracemalloc.stop()


def test_endless_members_without_content_are_read_no_further_either(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb, "MOST", 1 << 22)
    path = tmp_path / "many.tar.gz"
    path.write_bytes(gzip.compress((1 << 14) * header("empty", 0), 1))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"it continues at byte .*, expected .* at most 4194304"):
        load_imdb(path)
    assert tracemalloc.get_traced_memory()[1] < 1 << 21
    tracemalloc.stop()


def test_a_plain_tar_that_breaks_off_between_two_members_is_refused(tmp_path):
    whole = tarred(review_files())
    path = tmp_path / "short.tar"
    for end in range(0, len(whole) - tarfile.RECORDSIZE, 3 * tarfile.BLOCKSIZE):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match=r"short\.tar is damaged"):
            load_imdb(path)


def test_a_plain_tar_with_a_damaged_header_is_refused(tmp_path):
    whole = tarred(review_files())
    at = whole.index(b"aclImdb/test/pos/5_9.txt")
    path = tmp_path / "flipped.tar"
    path.write_bytes(whole[:at] + b"A" + whole[at + 1 :])
    with pytest.raises(ValueError, match=r"flipped\.tar is damaged"):
        load_imdb(path)


def test_a_number_of_more_digits_than_any_review_has_names_no_review(tmp_path):
    files = review_files() | {f"aclImdb/train/pos/{'1' * 5000}_9.txt": b"x", "aclImdb/train/pos/\u0663_9.txt": b"x"}
    assert len(load_imdb(write_archive(tmp_path / "digits.tar.gz", files))[0][0]) == 20


def test_in_a_folder_pipes_are_left_out_and_a_file_too_large_is_refused(tmp_path):
    folder = write_folder(tmp_path, review_files()) / "aclImdb" / "train" / "pos"
    os.mkfifo(folder / "10_9.txt")
    (folder / "12_9.txt").symlink_to("/dev/zero")
    (folder / "13_9.txt").symlink_to("13_9.txt")
    assert len(load_imdb(tmp_path)[0][0]) == 20
    (folder / "11_9.txt").write_bytes(bytes(imdb.LARGEST + 1))
    with pytest.raises(ValueError, match=r"11_9\.txt has 1048577 bytes, too many for a review"):
        load_imdb(tmp_path)


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-this-name/x", "loop"])
def test_what_can_be_no_path_is_refused(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    with pytest.raises((ValueError, FileNotFoundError), match=r"not a path|nothing at"):
        load_imdb(path)


def test_an_empty_path_is_no_reason_for_a_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="lacks reviews"):
        load_imdb("")


# The download


def test_an_archive_in_the_cache_folder_is_not_downloaded_again(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    cache.mkdir()
    write_archive(cache / "aclImdb_v1.tar.gz", review_files())
    assert download_imdb() == cache / "aclImdb_v1.tar.gz"
    assert len(load_imdb()[0][0]) == 20


def test_without_pooch_the_remedy_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "minilstm\[demos\]".*by hand'):
        load_imdb()


def serve(monkeypatch, answer):
    """Let `answer(url)` give what the network would, as bytes, or raise; return the list of the URLs asked for."""
    pooch = pytest.importorskip("pooch")
    asked = []

    def fetch(self, url, output_file, pooch):
        asked.append(url)
        Path(output_file).write_bytes(answer(url))

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", fetch)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return asked


def test_a_download_with_the_right_checksum_is_kept(cache, monkeypatch, archive):
    content = archive.read_bytes()
    monkeypatch.setattr(imdb, "SHA256", hashlib.sha256(content).hexdigest())
    asked = serve(monkeypatch, lambda url: content)
    assert len(load_imdb()[0][0]) == 20
    assert (cache / "aclImdb_v1.tar.gz").read_bytes() == content
    assert asked == [imdb.URL]


def refuse_connection(url):
    raise ConnectionRefusedError(f"no way to {url}")


def fail_at_name_lookup(url):
    raise pytest.importorskip("requests").exceptions.ConnectionError("name not known")


@pytest.mark.parametrize("answer", [refuse_connection, fail_at_name_lookup, lambda url: b"half of it"])
def test_a_failed_download_leaves_no_file_and_says_how_to_get_the_data(cache, monkeypatch, answer):
    asked = serve(monkeypatch, answer)
    remedy = (
        r"could not download.*get https://ai\.stanford\.edu.*save it as .*aclImdb_v1\.tar\.gz.*path=.*MINILSTM_DATA"
    )
    with pytest.raises(ConnectionError, match=remedy):
        load_imdb()
    assert list(cache.iterdir()) == []
    assert asked[0] == imdb.URL


def test_without_network_it_is_said_briefly_and_nothing_is_logged(monkeypatch):
    logged = []
    serve(monkeypatch, fail_at_name_lookup)
    logger = pytest.importorskip("pooch").get_logger()
    monkeypatch.setattr(logger, "handle", logged.append)
    level = logger.level
    with pytest.raises(
        ConnectionError, match=r"could not download the reviews \(ai\.stanford\.edu cannot be reached\): "
    ):
        load_imdb()
    assert logged == []
    assert logger.level == level


def test_what_the_server_answers_or_a_wrong_checksum_is_said(monkeypatch):
    def not_found(url):
        error = pytest.importorskip("requests").exceptions.HTTPError("404 Not Found")
        error.response = "a response"
        raise error

    serve(monkeypatch, not_found)
    with pytest.raises(ConnectionError, match=r"could not download the reviews \(404 Not Found\): "):
        load_imdb()
    serve(monkeypatch, lambda url: b"half of it")
    with pytest.raises(ConnectionError, match=r"could not download the reviews \(.*hash"):
        load_imdb()


@pytest.fixture
def homeless(monkeypatch):
    """Be a user without a home directory, as in containers that run under any number."""

    def fail():
        raise RuntimeError("Could not determine home directory.")

    for name in ("MINILSTM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", fail)


def test_without_a_home_directory_an_archive_is_read_all_the_same(homeless, archive):
    assert len(load_imdb(archive)[0][0]) == 20


def test_without_a_home_directory_errors_stay_errors_with_a_remedy(homeless, tmp_path):
    with pytest.raises(FileNotFoundError, match="this user has no home directory: set MINILSTM_CACHE to a folder"):
        download_imdb()
    with pytest.raises(FileNotFoundError, match=r"nothing at .*by hand and give its path as path= or in MINILSTM_DATA"):
        load_imdb(tmp_path / "nowhere")


def test_an_unwritable_place_for_the_download_is_told(tmp_path, monkeypatch):
    serve(monkeypatch, lambda url: b"")
    (tmp_path / "occupied").write_text("a file where the folder should be")
    monkeypatch.setenv("MINILSTM_CACHE", str(tmp_path / "occupied"))
    with pytest.raises(ConnectionError, match="occupied"):
        load_imdb()


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "{base}/minilstm"),
        ("linux", None, "{home}/.cache/minilstm"),
        ("darwin", None, "{home}/Library/Caches/minilstm"),
        ("win32", "LOCALAPPDATA", "{base}/minilstm"),
        ("win32", None, "{home}/AppData/Local/minilstm"),
    ],
)
def test_the_cache_folder_is_where_the_system_has_such_folders(monkeypatch, tmp_path, platform, variable, expected):
    for name in ("MINILSTM_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "base"))
    assert imdb.cache_folder() == Path(expected.format(base=tmp_path / "base", home=tmp_path / "home"))


def test_nothing_is_printed_and_the_progress_bar_is_wiped(archive, capsys):
    load_imdb(archive)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.split("\r")[-1].strip() == ""


# The real archive


@pytest.fixture(scope="module")
def real_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("real")


@needs_real
def test_the_real_archive_has_25000_balanced_reviews_in_each_part_and_is_unpacked_only_once(real_cache, monkeypatch):
    monkeypatch.setenv("MINILSTM_CACHE", str(real_cache))
    load_imdb(REAL, reviews=2)
    monkeypatch.setattr(imdb, "_read_archive", None)  # the second time, it comes from the cache
    parts = load_imdb(REAL)
    assert [(len(texts), int(labels.sum())) for texts, labels in parts] == [(25000, 12500)] * 2
    assert [len(set(texts)) for texts, _ in parts] == [24904, 24801]
    assert [round(np.mean([len(text.split()) for text in texts]), 1) for texts, _ in parts] == [233.8, 228.5]


@needs_real
def test_the_real_archive_cut_by_movie_shares_no_movie_and_stays_balanced(real_cache, monkeypatch):
    monkeypatch.setenv("MINILSTM_CACHE", str(real_cache))
    # Some texts stand in the data set twice, under two movies: look at the movies rather than at the texts.
    monkeypatch.setattr(imdb, "_take", lambda corpus, numbers: (corpus.movies[numbers], corpus.labels[numbers]))
    train, validation, test = load_imdb(REAL, validation=0.1, by_movie=True)
    assert len(train[0]) + len(validation[0]) == len(test[0]) == 25000
    assert abs(len(validation[0]) - 2500) < 25
    assert abs(validation[1].mean() - 0.5) < 0.01
    assert not set(train[0]) & set(validation[0])
    assert len({*train[0], *validation[0]} & set(test[0])) == 1  # a flaw of the data set itself
