"""From texts to lists of integers: split into words, and number the words.

    tokenizer = Tokenizer(num_words=10_000)
    tokenizer.fit_on_texts(X_train)
    x_train = tokenizer.texts_to_sequences(X_train)

Names, defaults and results are those of Keras 2. Only ``level`` is new, for texts in any language: its rules are in
:mod:`minilstm.data.cutting`.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from minilstm import fast
from minilstm.arrays import Array
from minilstm.data.cutting import UTF8, WORD_END, choose_level, cut
from minilstm.tools.validate import check_choice

TEXT_END = b"\xfe"  # like WORD_END, a byte that no character has in UTF-8
CHUNK = 8_000_000  # bytes of text that are split into words at a time, so that memory never holds all the words
SMALL = 1 << 16  # bytes of text that plain Python splits in 2 ms or less: not worth compiling or loading a kernel


def number_words(text: Array) -> tuple[Array, Array, Array, Array]:
    """Number the N distinct words of D texts by first appearance.

    ``text`` is uint8: UTF-8 with WORD_END between words, where empty words do not count, and TEXT_END after each text.
    Returns the distinct words, each followed by WORD_END, uint8; in how many texts each occurs, (N,); the number of
    the word at each of P places, (P,); the number of places up to the end of each text, (D,).
    """
    numbers: dict[bytes, int] = {}
    in_texts: list[int] = []
    places: list[int] = []
    ends: list[int] = []
    for one in text.tobytes().split(TEXT_END)[:-1]:
        here = [numbers.setdefault(word, len(numbers)) for word in one.split(WORD_END) if word]
        in_texts += set(here)
        places += here
        ends.append(len(places))
    words = np.frombuffer(b"".join(word + WORD_END for word in numbers), np.uint8)
    docs = np.bincount(np.array(in_texts, np.int64), minlength=len(numbers))  # (N,)
    return words, docs, np.array(places, np.int64), np.array(ends, np.int64)


class Tokenizer:
    r"""Numbers the words of the texts it is fitted on, the most frequent first.

    Args:
        num_words: only ids below ``num_words`` are used, those of the ``num_words - 1`` most frequent words. None
            for all words.
        filters: each of these characters ends a word and is dropped. The apostrophe is not among them, and
            ``<br />`` becomes the word "br".
        lower: convert the texts to lower case first.
        split: the separator between two words.
        oov_token: a word that represents all unknown words ("out of vocabulary") and has id 1. With None,
            unknown words are left out.
        level: what a "word" is. "word" has Keras's rules, as above. For "char", "pair" and "script", which ignore
            ``filters`` and ``split``, see :mod:`minilstm.data.cutting`. "auto" chooses "pair" or "script" once, from
            the first texts it is fitted on; ``level`` is then what was chosen.
        char_level: Keras's name for ``level="char"``.

    Attributes:
        word_index: the id of each word, from 1 in order of decreasing frequency; among ties, the first seen comes
            first. Id 0 is reserved for padding. Holds all words, whatever ``num_words`` is.
        index_word: word of each id, the reverse of ``word_index``.
        word_counts: how often each word was seen.
        word_docs: in how many texts each word was seen.
        document_count: how many texts were seen.
        reason: what "auto" chose and why, in words; it is not saved with a model.

    Raises:
        ValueError: ``num_words`` is less than 2, ``split`` is empty, or ``level`` is none of the above.
        TypeError: ``num_words`` is not an integer; ``filters``, ``split`` or ``oov_token`` is not a str.
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: str = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n',
        lower: bool = True,
        split: str = " ",
        oov_token: str | None = None,
        level: str = "word",
        char_level: bool = False,
    ) -> None:
        if num_words is not None and not isinstance(num_words, (int, np.integer)):
            raise TypeError(f"num_words must be an integer or None, got {num_words!r}")
        if num_words is not None and num_words < 2:
            raise ValueError(f"num_words must be at least 2, since id 0 is not a word, got {num_words}")
        for name, value in (("filters", filters), ("split", split), ("oov_token", oov_token)):
            if not isinstance(value, str) and (name, value) != ("oov_token", None):
                raise TypeError(f"{name} must be a str, got {value!r:.60}")
        if not split:
            raise ValueError(f"split must be at least one character, got {split!r}")
        check_choice("level", level, "word", "char", "pair", "script", "auto")
        if char_level and level not in ("word", "char"):
            raise ValueError(f"char_level=True is level='char', but level is {level!r}: give one of them")
        self.num_words = num_words
        self.filters = filters
        self.lower = lower
        self.split = split
        self.oov_token = oov_token
        self.level, self.char_level = ("char" if char_level else level), bool(char_level)
        self.reason = ""
        self.word_index: dict[str, int] = {}
        self.index_word: dict[int, str] = {}
        self.word_counts: Counter[str] = Counter()
        self.word_docs: Counter[str] = Counter()
        self.document_count = 0

    def fit_on_texts(self, texts: Iterable[str]) -> None:
        """Count the words of ``texts`` and renumber all words. A second call adds to the counts of the first.

        Raises:
            TypeError: ``texts`` is a single str, a table or a mapping rather than a list of texts, or one of its
                items is not a str. The counts are then as they were before.
        """
        counts: Counter[str] = Counter()
        docs: Counter[str] = Counter()
        seen = 0
        if self.level == "auto":
            texts = list(_checked(texts))
            self.level, self.reason = choose_level(texts, self.lower)
        for words, in_texts, places, ends in self._numbered(texts):
            counts.update(dict(zip(words, np.bincount(places, minlength=len(words)).tolist(), strict=True)))
            docs.update(dict(zip(words, in_texts.tolist(), strict=True)))
            seen += len(ends)
        self.document_count += seen  # only now: an error above leaves all as it was
        self.word_counts.update(counts)
        self.word_docs.update(docs)
        vocabulary = [word for word, _ in self.word_counts.most_common() if word != self.oov_token]
        if self.oov_token is not None:
            vocabulary.insert(0, self.oov_token)
        self.index_word = dict(enumerate(vocabulary, start=1))
        self.word_index = {word: index for index, word in self.index_word.items()}

    def texts_to_sequences(self, texts: Iterable[str]) -> list[list[int]]:
        """Look up the ids of the words of each text. 25,000 film reviews of 230 words take about 0.8 s.

        Raises:
            ValueError: ``fit_on_texts`` has not been called.
            TypeError: as for ``fit_on_texts``.
        """
        self._check_fitted()
        known, limit = self.word_index, self.num_words or math.inf
        unknown = 0 if self.oov_token is None else 1
        sequences: list[list[int]] = []
        for words, _, places, ends in self._numbered(texts):
            found = [known.get(word, unknown) for word in words]
            ids = np.array([index if index < limit else unknown for index in found], object)  # (N,) of Python ints
            row = ids[places].tolist()
            sequences += [list(filter(None, row[start:end])) for start, end in pairwise([0, *ends])]
        return sequences

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Turn ids back into texts, with spaces between the words.

        An id without a known word, such as 0, becomes ``oov_token``, or nothing if that is None.

        Raises:
            ValueError: ``fit_on_texts`` has not been called.
            TypeError: ``sequences`` is not a list of lists of integers.
        """
        self._check_fitted()
        words, limit, unknown = self.index_word, self.num_words or math.inf, self.oov_token
        try:
            found = [[(n, words.get(n)) for n in ids] for ids in sequences]
        except TypeError as error:
            raise TypeError(
                f"sequences must be a list of lists of ids, as texts_to_sequences returns: {error}"
            ) from error
        texts = [[word if word is not None and n < limit else unknown for n, word in text] for text in found]
        return [" ".join(word for word in text if word is not None) for text in texts]

    def texts_to_matrix(self, texts: Iterable[str], mode: str = "binary") -> NDArray[np.float64]:
        """Describe each of N texts by the words in it, regardless of their order: a "bag of words".

        The array is (N, num_words), or (N, 1 + all words) without ``num_words``. Its item [n, i] depends on c,
        how often the word with id i occurs in text n: it is 1 if c > 0 ("binary"), c ("count"), c divided by the
        number of ids of the text ("freq"), or (1 + ln c) · ln(1 + D / (1 + d)) ("tfidf"), where the word occurred in
        d of the D texts seen.

        Raises:
            ValueError: ``mode`` is none of these, or ``fit_on_texts`` has not been called.
            TypeError: as for ``fit_on_texts``.
        """
        check_choice("mode", mode, "binary", "count", "freq", "tfidf")
        sequences = self.texts_to_sequences(texts)
        matrix = np.zeros((len(sequences), self.num_words or len(self.word_index) + 1))
        for row, ids in zip(matrix, sequences, strict=True):
            for index, count in Counter(ids).items():
                if mode in ("binary", "count"):
                    row[index] = 1 if mode == "binary" else count
                elif mode == "freq":
                    row[index] = count / len(ids)
                else:
                    texts_with_it = self.word_docs[self.index_word[index]]
                    row[index] = (1 + np.log(count)) * np.log(1 + self.document_count / (1 + texts_with_it))
        return matrix

    def _numbered(self, texts: Iterable[str]) -> Iterator[tuple[list[str], Array, Array, Array]]:
        """Yield what ``number_words`` returns for one chunk of the texts after another, the words as str."""
        for chunk in self._encoded(texts):
            text = np.frombuffer(chunk, np.uint8)
            if len(chunk) < SMALL or not fast.enabled():
                words, in_texts, places, ends = number_words(text)
            else:
                from minilstm.fast.plan import function_runner  # only now, since it loads numba

                # Not in the main thread: numba makes the arrays it returns with Python code. There, a pending Ctrl-C
                # would be raised, which numba turns into a SystemError.
                with ThreadPoolExecutor(1) as worker:
                    kernel = function_runner("number_words", number_words)
                    words, in_texts, places, ends = worker.submit(kernel, text).result()
            yield [word.decode(*UTF8) for word in words.tobytes().split(WORD_END)[:-1]], in_texts, places, ends

    def _encoded(self, texts: Iterable[str]) -> Iterator[bytearray]:
        """Yield the texts in chunks as ``number_words`` takes them."""
        blanks = str.maketrans(dict.fromkeys(self.filters, self.split))
        signs, table = {*map(chr, blanks), self.split}, None
        if signs <= {*map(chr, range(128))}:  # as nearly always: exchanging bytes is faster than exchanging characters
            table = bytes(WORD_END[0] if chr(code) in signs else code for code in range(256))
        split, chunk = self.split.encode(*UTF8), bytearray()
        for text in _checked(texts):
            if self.level != "word":
                chunk += cut(text, self.level, self.lower) + TEXT_END
            else:
                cased = text.lower() if self.lower else text
                blanked = cased if table else cased.translate(blanks)
                chunk += blanked.encode(*UTF8).translate(table).replace(split, WORD_END) + TEXT_END
            if len(chunk) >= CHUNK:
                yield chunk
                chunk = bytearray()
        yield chunk

    def _check_fitted(self) -> None:
        if not self.document_count:
            raise ValueError("this Tokenizer knows no words yet: call fit_on_texts(texts) first")


def _checked(texts: Iterable[str]) -> Iterator[str]:
    """Yield the texts, or raise a TypeError that names what is not a text."""
    if isinstance(texts, str):
        raise TypeError("texts must be a list of texts, got one str: put it in a list, [text]")
    if isinstance(texts, Mapping):
        raise TypeError(f"texts must be a list of texts, got a {type(texts).__name__}: pass list(texts.values())")
    if hasattr(texts, "columns"):
        columns = ", ".join(map(repr, list(texts.columns)[:9]))
        remedy = f"pass one column of it, such as table['text']; its columns are {columns}"
        raise TypeError(f"texts must be a list of texts, got a table ({type(texts).__name__}): {remedy:.300}")
    try:
        numbered = enumerate(texts)
    except TypeError as error:
        raise TypeError(f"texts must be a list of texts, got a {type(texts).__name__}") from error
    for n, text in numbered:
        if not isinstance(text, str):
            missing = text is None or str(text) in ("nan", "<NA>", "NaT")
            remedy = "a missing value; leave it out or put '' in its place" if missing else "pass a list of texts"
            raise TypeError(f"texts[{n}] must be a str, got {type(text).__name__}, {text!r:.40}: {remedy}")
        yield text
