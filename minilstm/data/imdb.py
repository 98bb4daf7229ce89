"""The 50,000 labelled reviews of the Large Movie Review Dataset, half to train on and half to test on.

Source: Maas, Daly, Pham, Huang, Ng and Potts, "Learning Word Vectors for Sentiment Analysis", ACL 2011. Its
archive is read as it is; nothing is unpacked to disk. A review is a file
``aclImdb/{train,test}/{pos,neg}/<id>_<rating>.txt``, and line ``id``, counted from 0, of
``aclImdb/{train,test}/urls_{pos,neg}.txt`` names its movie. The reviews are kept in a cache file, so that only the
first reading takes seconds.
"""

import contextlib
import hashlib
import io
import logging
import os
import re
import sys
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from minilstm.data.bars import progress_bar
from minilstm.data.files import replace_file
from minilstm.data.reading import DAMAGED, decompressed
from minilstm.tools.validate import check_number, make_rng

IntArray = NDArray[np.int64]
Split = tuple[list[str], IntArray]

ARCHIVE = "aclImdb_v1.tar.gz"
URL = f"https://ai.stanford.edu/~amaas/data/sentiment/{ARCHIVE}"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"
# The 50,000 reviews without a label, in train/unsup, match neither.
REVIEW = re.compile(r"(?:^|/)(train|test)/(pos|neg)/([0-9]{1,9})_([0-9]{1,9})\.txt$")
URLS = re.compile(r"(?:^|/)(train|test)/urls_(pos|neg)\.txt$")
# Limits in bytes, larger than any real archive needs, for a review, for everything unpacked, and for a header. A
# malicious archive must not fill the memory or hang.
LARGEST, MOST, LONGEST = 1 << 20, 1 << 30, 1 << 14


class _Corpus(NamedTuple):
    """All N reviews, sorted by part, label and id."""

    text: NDArray[np.uint8]  # their UTF-8 bytes, one review after the other
    bounds: IntArray  # (N + 1,): review n is text[bounds[n] : bounds[n + 1]]
    in_test: NDArray[np.bool_]  # (N,)
    labels: IntArray  # (N,): 1 for pos, 0 for neg
    movies: IntArray  # (N,): the same number for the same movie, -1 if the source does not name it


def load_imdb(
    path: str | os.PathLike[str] | None = None,
    *,
    reviews: int | None = None,
    seed: int = 0,
    validation: float = 0.0,
    by_movie: bool = False,
) -> tuple[Split, ...]:
    """Load ``(X_train, y_train), (X_test, y_test)``, with a pair for validation between them if ``validation`` > 0.

    X is a list of N texts, y int64 (N,) with 1 for a positive review, 0 for a negative one. Reviews come in
    random order. All 50,000 take about 3 s the first time and 0.3 s from then on.

    Args:
        path: the archive, a tar file, compressed or not, or the folder that it unpacks to. None for the path in the
            environment variable MINILSTM_DATA or, without it, for ``download_imdb()``.
        reviews: how many to draw from each part, half of them positive (of an odd number, one more is). None
            for all.
        seed: the same seed gives the same reviews in the same order.
        validation: the fraction of the training reviews to split off, of positive and negative ones alike.
        by_movie: keep all reviews of a movie in the same part, training or validation. That is stricter, and
            the authors separated the test part in the same way, except for one movie. The fraction is then
            met only approximately.

    Raises:
        FileNotFoundError: nothing is at ``path``.
        ValueError: the source is damaged or lacks reviews, or an argument does not fit the number of reviews.
        ConnectionError, ModuleNotFoundError: as for ``download_imdb``.
    """
    check_number("validation", validation, 0, 1, inclusive=True)
    rng = make_rng(seed)
    corpus = _load(_locate(path))
    train, test = (_draw(corpus, in_test, reviews, rng) for in_test in (False, True))
    if not validation:
        return _take(corpus, train), _take(corpus, test)
    if by_movie and corpus.movies[train].min() < 0:
        raise ValueError("by_movie=True needs train/urls_pos.txt and urls_neg.txt: they lack some movies")
    groups = corpus.movies[train] if by_movie else np.arange(len(train))
    cut = _cut(corpus.labels[train], groups, validation, rng)
    if cut.all() or not cut.any():
        raise ValueError(f"validation={validation} leaves one part of {len(train)} reviews empty: take more")
    return _take(corpus, train[~cut]), _take(corpus, train[cut]), _take(corpus, test)


def download_imdb() -> Path:
    """Download the official archive, 84 MB, unless the cache folder has it, and return its path.

    It appears there only once it is complete and its checksum is right.

    Raises:
        ConnectionError: the download failed twice. Each try gives up after 10 s without an answer.
        ModuleNotFoundError: pooch, which does the download, is not installed.
        FileNotFoundError: as for ``cache_folder``.
    """
    archive = cache_folder() / ARCHIVE
    if archive.exists():
        return archive
    try:
        import pooch
    except ModuleNotFoundError as error:
        message = f'the download needs pooch: pip install "minilstm[demos]", or {_by_hand()}'
        raise ModuleNotFoundError(message, name="pooch") from error
    registry = {archive.name: f"sha256:{SHA256}"}
    site = pooch.create(archive.parent, URL.removesuffix(archive.name), registry=registry, retry_if_failed=1)
    bar = bool(sys.stderr) and sys.stderr.isatty()
    downloader = pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=10)
    log = pooch.get_logger()
    level = log.level
    log.setLevel(logging.ERROR)  # what it says about each try comes as an error, or does not matter
    try:
        site.fetch(archive.name, downloader=downloader)
    except (OSError, ValueError) as error:  # no network, no room on the disk; a wrong checksum
        unreachable = isinstance(error, OSError) and error.errno is None and getattr(error, "response", None) is None
        reason = "ai.stanford.edu cannot be reached" if unreachable else str(error)
        raise ConnectionError(f"could not download the reviews ({reason}): {_by_hand()}") from error
    finally:
        log.setLevel(level)
    return archive


def cache_folder() -> Path:
    """Name the folder for downloads and cache files: MINILSTM_CACHE, else where the system keeps such files.

    Raises:
        FileNotFoundError: it would be in the home directory, and the user has none.
    """
    try:
        if folder := os.environ.get("MINILSTM_CACHE"):
            return Path(folder).expanduser()
        if sys.platform == "win32":
            base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Caches"
        else:
            base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError as error:  # no HOME, and an unknown user, as in some containers
        raise FileNotFoundError("this user has no home directory: set MINILSTM_CACHE to a folder") from error
    return Path(base) / "minilstm"


def _by_hand() -> str:
    place = ""
    with contextlib.suppress(FileNotFoundError):
        place = f"save it as {cache_folder() / ARCHIVE}, or "
    return f"get {URL} by hand and {place}give its path as path= or in MINILSTM_DATA"


def _locate(path: str | os.PathLike[str] | None) -> Path:
    """Find the archive, or the folder that holds train/ and test/."""
    if path is not None and not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a Path, got {path!r}")
    given = os.environ.get("MINILSTM_DATA") if path is None else path
    if given is None or (path is None and not given):
        return download_imdb()
    try:
        source = Path(given).expanduser().resolve()
    except (ValueError, RuntimeError) as error:  # a NUL, an unknown home directory, a link to itself
        raise ValueError(f"{given!r} is not a path ({error}): {_by_hand()}") from error
    if not source.exists():
        raise FileNotFoundError(f"nothing at {source} (from path= or MINILSTM_DATA): {_by_hand()}")
    if not (source.is_file() or source.is_dir()):
        raise ValueError(f"{source} is neither a file nor a folder: {_by_hand()}")
    unpacked = source / "aclImdb"
    return unpacked if unpacked.is_dir() else source


def _draw(corpus: _Corpus, in_test: bool, reviews: int | None, rng: np.random.Generator) -> IntArray:
    """Draw the numbers of reviews of one part, in random order."""
    part = corpus.in_test == in_test
    negative, positive = (np.flatnonzero(part & (corpus.labels == label)) for label in (0, 1))
    if reviews is not None:
        available = 2 * min(len(negative), len(positive))
        if not isinstance(reviews, int) or not 2 <= reviews <= available:
            raise ValueError(f"reviews must be an integer from 2 to {available}, or None for all, got {reviews!r}")
        negative = rng.choice(negative, reviews // 2, replace=False)
        positive = rng.choice(positive, reviews - reviews // 2, replace=False)
    return rng.permutation(np.concatenate([negative, positive]))


def _cut(labels: IntArray, groups: IntArray, fraction: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Choose entire groups that together have a fraction of the reviews, of negative and positive ones alike.

    In random order, a group is taken if it brings the two numbers of reviews closer to those wanted. With single
    reviews for groups, the result is exact.
    """
    _, members = np.unique(groups, return_inverse=True)
    sizes = np.zeros((members.max() + 1, 2), dtype=int)  # negative and positive reviews of each group
    np.add.at(sizes, (members, labels), 1)
    wanted = round(fraction * len(labels))
    positive = round(wanted * labels.mean())
    missing = np.array([wanted - positive, positive])
    chosen = np.zeros(len(sizes), dtype=bool)
    for group in rng.permutation(len(sizes)):
        rest = missing - sizes[group]
        if abs(rest).sum() < abs(missing).sum():
            chosen[group] = True
            missing = rest
    return chosen[members]


def _take(corpus: _Corpus, numbers: IntArray) -> Split:
    """Decode the reviews with these numbers."""
    text, bounds = corpus.text.data, corpus.bounds.tolist()
    texts = [str(text[bounds[n] : bounds[n + 1]], "utf-8", "replace") for n in numbers.tolist()]
    return texts, corpus.labels[numbers]


def _load(source: Path) -> _Corpus:
    """Get the reviews from the cache file of ``source``, or else from ``source``, and then write that file."""
    name = f"imdb-{hashlib.sha256(os.fsencode(source)).hexdigest()[:16]}.npz"
    stamp = _stamp(source)
    corpus = _read_cache(name, stamp)
    if corpus is None:
        corpus = _arrange(_read_folder(source) if source.is_dir() else _read_archive(source), source)
        _write_cache(name, stamp, corpus)
    return corpus


def _read_cache(name: str, stamp: str) -> _Corpus | None:
    try:
        with (cache_folder() / name).open("rb") as file, np.load(file) as arrays:
            return _Corpus(*(arrays[field] for field in _Corpus._fields)) if arrays["stamp"] == stamp else None
    except Exception:  # no folder, no file, or a damaged file: the source is still there
        return None


def _write_cache(name: str, stamp: str, corpus: _Corpus) -> None:
    try:
        cache = cache_folder() / name
        cache.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        np.savez(buffer, stamp=np.array(stamp), **corpus._asdict())
        replace_file(cache, buffer.getvalue())
    except OSError:
        return  # no folder, or a full or read-only disk: the next call reads the source again


def _stamp(source: Path) -> str:
    """Compute a checksum of names, sizes and times of change, which shows whether ``source`` has changed."""
    digest = hashlib.sha256()
    for file in _wanted_files(source) if source.is_dir() else [source]:
        status = file.stat()
        digest.update(repr((str(file), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()


def _wanted_files(folder: Path) -> list[Path]:
    patterns = ("*/pos/*.txt", "*/neg/*.txt", "*/urls_*.txt")
    files = (file for each in patterns for file in folder.glob(each) if _wanted(file.as_posix()))
    return sorted(file for file in files if file.is_file())  # a pipe or device might never end


def _wanted(name: str) -> bool:
    return bool(REVIEW.search(name) or URLS.search(name))


def _read_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files of the corpus."""
    for file in progress_bar(True, _wanted_files(folder), desc=f"reading {folder.name}", unit=" files"):
        if file.stat().st_size > LARGEST:
            raise ValueError(f"{file} has {file.stat().st_size} bytes, too many for a review: {_by_hand()}")
        yield file.as_posix(), file.read_bytes()


class _Stream:
    """What tarfile reads headers from: it moves forwards only, so that it ends, and reads small pieces only."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.last = file, b""
        self.tell = file.tell

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LONGEST:
            raise tarfile.ReadError(f"a header of {size} bytes")
        self.last = self.file.read(size)
        self.check(self.tell())
        return self.last

    def seek(self, offset: int) -> int:
        self.check(offset)
        return self.file.seek(offset)

    def check(self, offset: int) -> None:
        if not self.tell() <= offset <= MOST:
            raise tarfile.ReadError(f"it continues at byte {offset}, expected to move forwards, to at most {MOST}")


def _read_archive(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files that matter, in one pass."""
    size = archive.stat().st_size
    progress = progress_bar(True, total=size, desc=f"reading {archive.name}", unit="B", unit_scale=True)
    try:
        with archive.open("rb") as file, progress:
            stream = _Stream(decompressed(file))  # some browsers have decompressed it already
            with tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:") as members:
                for member in members:
                    cast(Any, members).members.clear()  # tarfile would keep them all
                    progress.update(file.tell() - progress.n)
                    if not (member.isfile() and _wanted(member.name)):
                        continue
                    if member.size > LARGEST or member.issparse():
                        raise tarfile.ReadError(f"{member.size} bytes are too many for {member.name}, or have holes")
                    yield member.name, stream.file.read(max(0, member.size))
            if any(stream.last) or len(stream.last) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("it is cut short: the end mark is missing")
            while stream.file.read(LARGEST):  # gzip checks its checksum only at the very end
                stream.check(stream.tell())
    except (tarfile.TarError, *DAMAGED, ValueError, RecursionError) as error:
        if getattr(error, "errno", None):  # not damaged, but unreadable
            raise
        if zipfile.is_zipfile(archive):
            raise ValueError(f"{archive} is a zip archive: unpack it and give the path of the folder") from error
        raise ValueError(f"{archive} is damaged or not a tar archive ({error}): {_by_hand()}") from error


def _arrange(files: Iterator[tuple[str, bytes]], source: Path) -> _Corpus:
    """Sort the reviews and number the movies."""
    reviews: dict[tuple[str, str, int, int], bytes] = {}
    urls: dict[tuple[str, str], list[bytes]] = {}
    for name, content in files:
        if match := REVIEW.search(name):
            part, label, number, rating = match.groups()
            reviews[part, label, int(number), int(rating)] = content
        elif match := URLS.search(name):
            urls[match[1], match[2]] = content.splitlines()
    found = Counter(f"{part}/{label}" for part, label, *_ in reviews)
    if len(found) < 4:
        folders = ("train/pos", "train/neg", "test/pos", "test/neg")
        counts = ", ".join(f"{found[folder]} in {folder}" for folder in folders)
        remedy = f"{_by_hand()}; texts of your own belong in a folder with a sub-folder for each label"
        raise ValueError(f"{source} lacks reviews, it has {counts}, in files named like 0_9.txt: {remedy}")
    keys = sorted(reviews)
    numbers: defaultdict[bytes, int] = defaultdict(lambda: len(numbers))
    movies = []
    for part, label, line, _ in keys:
        known = urls.get((part, label), [])
        movies.append(numbers[known[line]] if line < len(known) else -1)
    return _Corpus(
        text=np.frombuffer(b"".join(reviews[key] for key in keys), dtype=np.uint8),
        bounds=np.cumsum([0, *(len(reviews[key]) for key in keys)]),
        in_test=np.array([part == "test" for part, _, _, _ in keys]),
        labels=np.array([label == "pos" for _, label, _, _ in keys], dtype=np.int64),
        movies=np.array(movies),
    )
