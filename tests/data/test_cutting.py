"""How texts in any language become tokens, and that a tokenizer keeps its rules in a saved model."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import LSTM, Dense, Embedding, Sequential
from minilstm.data import cutting
from minilstm.data.cutting import TOKEN, cut
from minilstm.data.text import Tokenizer
from minilstm.runs import saving

KOREAN = ["영화가 재미있다", "영화는 재미없다", "배우들의 연기를 보았다"]


def tokens(text, level, lower=True):
    return [token.decode("utf-8", "surrogatepass") for token in cut(text, level, lower).split(b"\xff") if token]


def fitted(texts, **options):
    tokenizer = Tokenizer(**options)
    tokenizer.fit_on_texts(texts)
    return tokenizer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's “well-made”…\u00a0isn’t it?<br /><BR>Yes—'tis", ["it's", "well", "made", "isn't", "it", "yes", "tis"]),
        ("''Rock 'n' roll'' o''clock'", ["rock", "n", "roll", "o", "clock"]),
        ("Ein größerer CAFÉ, 3 Straßen", ["ein", "größerer", "café", "3", "straßen"]),
        ("Привет, мир! ١٢٣ हिन्दी", ["привет", "мир", "١٢٣", "हिन्दी"]),
        ("这部movie很好!", ["这部", "movie", "很好"]),
        ("好 电影院", ["好", "电影", "影院"]),
        ("スーパー3人", ["スー", "ーパ", "パー", "3", "人"]),
        ("ดีมาก", ["ดีม", "มา", "าก"]),
        ("good👍🏽👍🏽 👩‍👩‍👧🇩🇪", ["good", "👍🏽", "👍🏽", "👩‍👩‍👧", "🇩🇪"]),
        ("co\u00adop\u200fera", ["coopera"]),
        (" \t\u3000\u2028", []),
    ],
)
def test_at_script_tokens_are_words_where_words_are_separated_and_pairs_where_not(text, words):
    assert tokens(text, "script") == words


def test_at_char_each_character_is_a_token_and_white_space_is_one_space():
    assert tokens("  Ab\r\n\t e\u0301!👍🏽\0 ", "char") == ["a", "b", " ", "é", "!", "👍🏽"]
    assert tokens("İI", "char") == ["i\u0307", "i"]
    assert tokens("İI", "char", lower=False) == ["İ", "I"]


def test_at_pair_each_two_neighbouring_characters_are_a_token():
    assert tokens("ab  c", "pair") == ["ab", "b ", " c"]
    assert tokens("좋다!", "pair") == ["좋다", "다!"]
    assert tokens("a", "pair") == ["a"]


def test_equal_letters_of_other_code_points_are_equal_tokens():
    for level in ("char", "pair", "script"):
        assert tokens("각é", level) == tokens(unicodedata.normalize("NFD", "각é"), level)


@given(st.text(st.sampled_from("aB1'’ -<br/>\0\u00a0éÉ\u0301\u200d\u200e…√—Яñ好ーก👍🏽")))
def test_words_found_at_the_speed_of_bytes_are_those_of_the_rule(text):
    found = tokens(text, "script")
    text = cutting.BREAK.sub(" ", text).lower()
    text = cutting.INVISIBLE.sub("", unicodedata.normalize("NFC", text).replace("’", "'"))
    expected = []
    for match in TOKEN.finditer(text):
        expected += list(cutting.pairs(match[0])) if match["run"] else [match[0]]
    assert found == expected


def test_char_level_is_keras_name_for_level_char():
    by_name, by_level = fitted(["ab b"], char_level=True), fitted(["ab b"], level="char")
    assert by_name.word_index == by_level.word_index == {"b": 1, "a": 2, " ": 3}
    assert by_name.texts_to_sequences(["BAx"]) == [[1, 2]]
    with pytest.raises(ValueError, match="char_level=True is level='char', but level is 'pair'"):
        Tokenizer(level="pair", char_level=True)
    with pytest.raises(ValueError, match="level='words' is unknown"):
        Tokenizer(level="words")


def test_auto_takes_words_for_english_and_says_why():
    rng = random.Random(0)
    texts = [" ".join(f"word{int(rng.expovariate(0.01))}" for _ in range(100)) for _ in range(100)]
    tokenizer = fitted(texts, level="auto")
    assert tokenizer.level == "script"
    assert tokenizer.reason == "words; 1% of those in held-out texts are unknown"


def test_auto_takes_pairs_where_too_many_words_of_held_out_texts_are_unknown():
    rng = random.Random(0)
    texts = [" ".join(rng.choice("가나다") + str(rng.random()) for _ in range(100)) for _ in range(100)]
    tokenizer = fitted(texts, level="auto")
    assert tokenizer.level == "pair"
    assert tokenizer.reason == "pairs of characters, since 50% of the words of held-out texts are unknown"
    assert fitted(texts[:20], level="auto").level == "script", "too few words to judge by"


def test_auto_takes_pairs_of_chinese_characters_and_stays_with_its_choice():
    tokenizer = fitted(["这部电影很好看", "非常好 very good"], level="auto")
    assert tokenizer.level == "script"
    assert "pairs of characters where a script puts no spaces between words" in tokenizer.reason
    assert {"电影", "好看", "非常", "very"} <= set(tokenizer.word_index)
    tokenizer.fit_on_texts(KOREAN * 2000)
    assert tokenizer.level == "script"


def test_auto_refuses_what_is_not_a_list_of_texts():
    with pytest.raises(TypeError, match=r"put it in a list, \[text\]"):
        Tokenizer(level="auto").fit_on_texts("the cat")
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, got int"):
        Tokenizer(level="auto").fit_on_texts(["the cat", 3])


HOSTILE = [
    "\ud800\udfff\udc00",
    "\0\0a\0",
    "\u200e\u200f\u202eabc\u202c",
    " \u00a0\u3000\n" * 99,
    "e" + "\u0301" * 9999,
    "".join(chr(0x1F300 + n % 900) + chr(0x1F3FB + n % 5) for n in range(100_000)),
    "好" * 350_000,
    "a" * 1_000_000,
    "'" * 9999,
    "\xff\xfe\n<br/",
]


@pytest.mark.parametrize("level", ["word", "char", "pair", "script", "auto"])
def test_hostile_texts_have_the_same_ids_after_saving_and_loading(level, tmp_path):
    tokenizer = fitted(HOSTILE, level=level, num_words=1000)
    ids = tokenizer.texts_to_sequences(HOSTILE)
    model = Sequential()
    for layer in (Embedding(1000, 1), LSTM(1), Dense(1)):
        model.add(layer)
    model.tokenizer = tokenizer
    model.save(tmp_path / "model.safetensors")
    loaded = Sequential.load(tmp_path / "model.safetensors").tokenizer
    assert loaded.level == tokenizer.level
    assert loaded.texts_to_sequences(HOSTILE) == ids


def test_a_model_saved_before_there_were_levels_keeps_the_rules_of_keras():
    model = Sequential()
    model.tokenizer = fitted(["It’s good"])
    about, arrays = saving.describe(model), saving.arrays(model)
    for name in ("level", "char_level"):
        del about["tokenizer"]["arguments"][name]
    assert saving.rebuild(about, arrays).tokenizer.texts_to_sequences(["it’s"]) == [[1]]
