r"""How a text becomes tokens by the rules of Unicode: words, characters, or pairs of characters.

At the levels below, a text is first prepared, in this order: ``<br>`` and ``<br />``, in upper or lower case, become a
space; it is lower-cased by ``str.lower``, if wanted, and normalised to NFC; ``\u2019`` becomes ``'``; and invisible
characters, those of category Cf such as direction marks, are removed, except for the two joiners and the tags of flags.
``str.lower`` turns İ into i and a combining dot above. What is called a character here is a grapheme cluster, ``\X`` of
``regex``: a letter with its marks, or an emoji with its modifiers.

char    Each character is a token, be it a letter, a sign or a space. A run of white space and control characters
        becomes one space, and is removed at both ends of the text.
pair    The same, but every two neighbouring characters are a token: "ab c" becomes "ab", "b " and " c". A text of one
        character is one token.
script  From left to right, whichever of these is found first: a run of characters of the scripts in UNSPACED, which
        put no spaces between words, cut into pairs as above; a word, which is a run of other letters, marks, numbers
        and joiners, and may have single apostrophes within it; an emoji. Everything else separates tokens.
auto    "script" or "pair", as :func:`choose_level` decides for the texts that a tokenizer is fitted on.
"""

import itertools
import re
import unicodedata
from collections.abc import Iterator, Sequence

import numpy as np
import regex

UTF8 = ("utf-8", "surrogatepass")  # takes any str, even one with half a surrogate pair
WORD_END = b"\xff"  # no character contains this byte in UTF-8
MOST_UNKNOWN = 0.3  # of the words in held-out texts; above this, words are too rare to be tokens
ENOUGH, SAMPLE = 5_000, 50_000  # words: with fewer, most are unknown in any language; with more, fewer are

UNSPACED = r"\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\u30fc\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}"
LETTER = rf"[\p{{L}}\p{{M}}\p{{N}}\u200c\u200d--[{UNSPACED}]]"
TOKEN = regex.compile(
    rf"(?V1)(?P<run>[{UNSPACED}][{UNSPACED}\p{{M}}]*)|{LETTER}+(?:'{LETTER}+)*"
    r"|(?=[\p{Extended_Pictographic}\p{Regional_Indicator}])\X"
)
CHARACTER = regex.compile(r"\X")
BREAK = re.compile(r"(?i)<br\s*/?>")  # faster than regex
INVISIBLE = regex.compile(r"(?V1)[\p{Cf}--[\u200c\u200d\U000e0020-\U000e007f]]+")
SPACE = regex.compile(r"[\s\p{Cc}]+")
SPECIAL = regex.compile(rf"[{UNSPACED}\p{{Extended_Pictographic}}\p{{Regional_Indicator}}]")  # more than words
OTHER = regex.compile(r"[^\p{L}\p{M}\p{N}\u200c\u200d\x00-\x7f]")
KEPT = bytes(n if n > 127 or chr(n).isalnum() or chr(n) == "'" else WORD_END[0] for n in range(256))
QUOTE = re.compile(rb"'(?:(?<![^\xff']')|(?![^\xff']))")  # with no letter before or after it


def cut(text: str, level: str, lower: bool) -> bytes:
    """Cut a text at "script", "pair" or "char"; return its tokens in UTF-8, with WORD_END between them."""
    text = BREAK.sub(" ", text) if "<" in text else text
    text = text.lower() if lower else text
    foreign = ""  # the characters that are not ASCII, usually few: searching them alone is faster
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).replace("\u2019", "'")
        foreign = text.encode(*UTF8).translate(None, bytes(range(128))).decode(*UTF8)
        text = INVISIBLE.sub("", text) if INVISIBLE.search(foreign) else text
    if level == "script" and not (foreign and SPECIAL.search(foreign)):  # as TOKEN does, but at the speed of bytes
        for character in {*OTHER.findall(foreign)} if foreign else ():
            text = text.replace(character, " ")
        return QUOTE.sub(WORD_END, text.encode(*UTF8).translate(KEPT))
    if level == "script":
        runs = (pairs(found[0]) if found["run"] else [found[0]] for found in TOKEN.finditer(text))
        tokens: Iterator[str] = itertools.chain.from_iterable(runs)
    else:
        text = SPACE.sub(" ", text).strip(" ")
        tokens = pairs(text) if level == "pair" else iter(CHARACTER.findall(text))
    return "\n".join(tokens).encode(*UTF8).replace(b"\n", WORD_END)  # no token contains a line end


def pairs(text: str) -> Iterator[str]:
    """Yield every two neighbouring characters of a text, or its only character."""
    characters = CHARACTER.findall(text)
    return map("".join, itertools.pairwise(characters)) if len(characters) > 1 else iter(characters)


def choose_level(texts: Sequence[str], lower: bool) -> tuple[str, str]:
    """Choose "script" or "pair" for texts in any language; return the level, and what it means and why.

    Texts are drawn until they have SAMPLE words, and every tenth is held out. If more than MOST_UNKNOWN of the words
    in these occur in none of the others, as in languages that add particles to words, pairs are better, but not if
    there are fewer words than ENOUGH.
    """
    words: list[list[str]] = []
    total = special = 0  # words; pairs and emoji
    for n in np.random.default_rng(0).permutation(len(texts)).tolist():
        tokens = cut(texts[n], "script", lower).replace(WORD_END, b"\n").decode(*UTF8).split("\n")
        words.append([token for token in tokens if token and not SPECIAL.match(token)])
        total, special = total + len(words[-1]), special + len(tokens) - len(words[-1])
        if total + special > SAMPLE:
            break
    known = {word for n, text in enumerate(words) if n % 10 for word in text}
    held_out = [word for text in words[::10] for word in text]
    unknown = sum(word not in known for word in held_out) / max(1, len(held_out))
    if total >= ENOUGH and unknown > MOST_UNKNOWN:
        return "pair", f"pairs of characters, since {unknown:.0%} of the words of held-out texts are unknown"
    if special > total:
        return "script", "pairs of characters where a script puts no spaces between words, and words elsewhere"
    return "script", f"words; {unknown:.0%} of those in held-out texts are unknown"
