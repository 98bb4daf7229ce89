"""The tokenizer and the padding do what Keras 2 does; the expected numbers are worked out by hand."""

import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm import use_numba
from minilstm.data.text import Tokenizer, number_words
from minilstm.keras.sequences import pad_sequences

TEXTS = ["The cat sat on the mat.", "The dog sat!"]  # the 3, sat 2, then cat, on, mat, dog


def fitted(**options):
    tokenizer = Tokenizer(**options)
    tokenizer.fit_on_texts(TEXTS)
    return tokenizer


def test_ids_go_from_1_by_falling_frequency_and_ties_by_first_appearance():
    tokenizer = fitted()
    assert tokenizer.word_index == {"the": 1, "sat": 2, "cat": 3, "on": 4, "mat": 5, "dog": 6}
    assert tokenizer.index_word == {1: "the", 2: "sat", 3: "cat", 4: "on", 5: "mat", 6: "dog"}


def test_words_and_texts_are_counted():
    tokenizer = fitted()
    assert tokenizer.word_counts == {"the": 3, "sat": 2, "cat": 1, "on": 1, "mat": 1, "dog": 1}
    assert tokenizer.word_docs == {"the": 2, "sat": 2, "cat": 1, "on": 1, "mat": 1, "dog": 1}
    assert tokenizer.document_count == 2


def test_fitting_again_adds_to_the_counts_and_numbers_anew():
    tokenizer = fitted()
    tokenizer.fit_on_texts(["dog dog dog dog"])
    assert tokenizer.word_index["dog"] == 1
    assert tokenizer.word_counts["dog"] == 5
    assert tokenizer.document_count == 3


def test_unknown_words_are_left_out():
    assert fitted().texts_to_sequences(["the bird sat", "", "bird"]) == [[1, 2], [], []]


def test_only_ids_below_num_words_are_given_out_though_word_index_holds_all():
    tokenizer = fitted(num_words=3)
    assert tokenizer.texts_to_sequences(TEXTS) == [[1, 2, 1], [1, 2]]
    assert len(tokenizer.word_index) == 6


def test_the_oov_token_has_id_1_and_stands_for_unknown_and_for_rare_words():
    tokenizer = fitted(num_words=4, oov_token="<oov>")
    assert tokenizer.word_index["<oov>"] == 1
    assert tokenizer.word_index["the"] == 2
    assert tokenizer.texts_to_sequences(["The bird sat on the mat"]) == [[2, 1, 3, 1, 2, 1]]


def test_an_oov_token_that_is_also_a_word_of_the_texts_keeps_id_1():
    tokenizer = fitted(oov_token="sat")
    assert tokenizer.word_index == {"sat": 1, "the": 2, "cat": 3, "on": 4, "mat": 5, "dog": 6}


def test_punctuation_ends_words_but_the_apostrophe_does_not():
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["It's well-made,\tisn't\nit?<br />Yes..."])
    assert list(tokenizer.word_index) == ["it's", "well", "made", "isn't", "it", "br", "yes"]


def test_case_can_be_kept_and_filters_and_split_chosen():
    tokenizer = Tokenizer(lower=False, filters="b", split="_")
    tokenizer.fit_on_texts(["A_abcb_ a"])
    assert list(tokenizer.word_index) == ["A", "a", "c", " a"]


def test_sequences_turn_back_into_texts():
    tokenizer = fitted()
    assert tokenizer.sequences_to_texts([[1, 3, 2], [], [0, 6, 99]]) == ["the cat sat", "", "dog"]
    assert tokenizer.sequences_to_texts(np.array([[0, 1], [5, 2]])) == ["the", "mat sat"]


def test_ids_of_no_known_word_turn_into_the_oov_token():
    tokenizer = fitted(num_words=4, oov_token="<oov>")
    assert tokenizer.sequences_to_texts([[2, 3, 4, 99, 1]]) == ["the sat <oov> <oov> <oov>"]


def test_the_matrix_tells_which_words_a_text_has():
    expected = [[0, 1, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0, 1]]
    assert fitted().texts_to_matrix(TEXTS).tolist() == expected
    assert fitted().texts_to_matrix(TEXTS, mode="binary").tolist() == expected


def test_the_matrix_counts_words():
    assert fitted().texts_to_matrix(["the the dog", ""], mode="count").tolist() == [
        [0, 2, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_matrix_has_num_words_columns_and_frequencies_are_of_the_words_given_ids():
    assert fitted(num_words=3).texts_to_matrix(["the the sat dog"], mode="freq").tolist() == [[0, 2 / 3, 1 / 3]]
    assert fitted(num_words=50).texts_to_matrix(TEXTS).shape == (2, 50)


def test_tfidf_is_the_formula_of_keras():
    matrix = fitted().texts_to_matrix(["the the dog"], mode="tfidf")
    assert matrix[0, 1] == pytest.approx((1 + np.log(2)) * np.log(1 + 2 / (1 + 2)))
    assert matrix[0, 6] == pytest.approx(np.log(1 + 2 / (1 + 1)))
    assert np.count_nonzero(matrix) == 2


def test_tfidf_takes_the_oov_token_for_a_word_of_no_text():
    matrix = fitted(oov_token="<oov>").texts_to_matrix(["bird"], mode="tfidf")
    assert matrix[0, 1] == pytest.approx(np.log(1 + 2))


def test_a_single_str_instead_of_a_list_is_refused():
    with pytest.raises(TypeError, match=r"texts must be a list.*\[text\]"):
        Tokenizer().fit_on_texts("the cat")
    with pytest.raises(TypeError, match="texts must be a list"):
        fitted().texts_to_sequences("the cat")
    with pytest.raises(TypeError, match="texts must be a list"):
        fitted(oov_token="?").texts_to_matrix("the cat")


def test_a_text_that_is_no_str_is_refused_by_its_number():
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, got bytes"):
        Tokenizer().fit_on_texts(["good", b"bad"])


@pytest.mark.parametrize("missing", [None, float("nan"), np.float64("nan"), np.datetime64("NaT")])
def test_a_missing_text_is_named_as_such_with_the_remedy(missing):
    with pytest.raises(TypeError, match=r"texts\[1\] must be a str, got .*: a missing value; leave it out or put ''"):
        Tokenizer().fit_on_texts(["good", missing])


def test_a_table_and_a_dict_of_texts_are_refused_since_only_their_keys_would_be_read():
    class Frame:
        columns = ("review", "stars")
        __iter__ = columns.__iter__

    with pytest.raises(TypeError, match=r"a table \(Frame\): pass one column .* its columns are 'review', 'stars'"):
        Tokenizer().fit_on_texts(Frame())
    for method in ("fit_on_texts", "texts_to_sequences", "texts_to_matrix"):
        with pytest.raises(TypeError, match=r"got a dict: pass list\(texts.values\(\)\)"):
            getattr(fitted(), method)({"first": "good", "second": "bad"})


def test_ids_follow_the_vocabulary_also_where_it_was_replaced():
    tokenizer = fitted(num_words=4)
    tokenizer.word_index = {"bird": 1, "the": 2, "sat": 9}
    assert tokenizer.texts_to_sequences(["the bird sat"]) == [[2, 1]]


def test_the_time_for_one_text_does_not_depend_on_the_size_of_the_vocabulary():
    class Vocabulary(dict):
        def items(self):
            raise AssertionError("the whole vocabulary is read for one text")

        __iter__ = keys = values = items

    tokenizer = fitted(num_words=3)
    tokenizer.word_index, tokenizer.index_word = Vocabulary(tokenizer.word_index), Vocabulary(tokenizer.index_word)
    assert tokenizer.texts_to_sequences(["the cat sat"]) == [[1, 2]]
    assert tokenizer.sequences_to_texts([[1, 2, 3]]) == ["the sat"]


def test_the_kernel_runs_outside_the_main_thread_where_numba_would_turn_ctrl_c_into_another_error(monkeypatch):
    def interrupted(text):
        assert threading.current_thread() is not threading.main_thread()
        signal.raise_signal(signal.SIGINT)
        return number_words(text)

    monkeypatch.setattr("minilstm.data.text.SMALL", 0)
    monkeypatch.setattr("minilstm.fast.plan.function_runner", lambda name, function: interrupted)
    tokenizer = Tokenizer()
    with use_numba(True), pytest.raises(KeyboardInterrupt):
        tokenizer.fit_on_texts(["the cat"])
    assert tokenizer.document_count == 0


def test_few_texts_need_no_kernel(monkeypatch):
    monkeypatch.setattr("minilstm.fast.plan.function_runner", None)
    with use_numba(True):
        assert fitted().texts_to_sequences(["the cat"]) == [[1, 3]]


@pytest.mark.parametrize("method", ["texts_to_sequences", "sequences_to_texts", "texts_to_matrix"])
def test_a_tokenizer_that_saw_no_text_says_so(method):
    with pytest.raises(ValueError, match="call fit_on_texts"):
        getattr(Tokenizer(), method)([])


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"num_words must be at least 2.*got 1"):
        Tokenizer(num_words=1)
    with pytest.raises(ValueError, match="split must be at least one character, got ''"):
        Tokenizer(split="")
    with pytest.raises(ValueError, match="mode='idf' is unknown"):
        fitted().texts_to_matrix(TEXTS, mode="idf")


words = st.sampled_from(["one", "two", "three", "four", "five"])
texts = st.lists(st.lists(words).map(" ".join), min_size=1)


@given(texts, st.sampled_from([None, 2, 3, 9]), st.sampled_from([None, "<oov>"]))
def test_ids_are_below_num_words_and_never_0_and_known_words_come_back(texts, num_words, oov_token):
    tokenizer = Tokenizer(num_words=num_words, oov_token=oov_token)
    tokenizer.fit_on_texts(texts)
    sequences = tokenizer.texts_to_sequences(texts)
    assert all(0 < index < (num_words or 7) for sequence in sequences for index in sequence)
    if num_words is None:
        assert tokenizer.sequences_to_texts(sequences) == texts
    counts = tokenizer.texts_to_matrix(texts, mode="count")
    assert counts.sum(axis=1).tolist() == [len(sequence) for sequence in sequences]


any_text = st.text(st.one_of(st.sampled_from("aAbB \0.İΣéß\ud83d\ude00😀"), st.characters()))


def test_any_texts_are_lowered_then_filtered_then_split(monkeypatch):
    @given(
        st.lists(any_text),
        st.booleans(),
        st.sampled_from(["", ".b", "\0 ", "é.", "\ud83d"]),
        st.sampled_from([" ", ".", "\0", "é", "😀", "aa", "b. "]),
        st.booleans(),
    )
    def check(texts, lower, filters, split, numba):
        cut = []  # Keras' definition, word for word
        for text in texts:
            blanked = (text.lower() if lower else text).translate({ord(sign): split for sign in filters})
            cut.append([word for word in blanked.split(split) if word])
        counts = Counter(word for words in cut for word in words)
        tokenizer = Tokenizer(filters=filters, lower=lower, split=split)
        with use_numba(numba):
            tokenizer.fit_on_texts(iter(texts))
            ids = {word: n for n, (word, _) in enumerate(counts.most_common(), start=1)}
            assert list(tokenizer.word_index.items()) == list(ids.items())
            assert tokenizer.word_counts == counts
            assert tokenizer.word_docs == Counter(word for words in cut for word in set(words))
            assert tokenizer.document_count == len(texts)
            if texts:
                assert tokenizer.texts_to_sequences(iter(texts)) == [[ids[word] for word in words] for words in cut]

    monkeypatch.setattr("minilstm.data.text.CHUNK", 10)  # so that texts come in several chunks
    monkeypatch.setattr("minilstm.data.text.SMALL", 0)  # and the kernel gets them
    check()


def test_ids_are_ints_of_python():
    assert {type(index) for index in fitted().texts_to_sequences(TEXTS)[0]} == {int}


def test_half_a_million_words_take_no_more_than_two_seconds_of_a_processor():
    texts = [" ".join(f"w{(7 * i + j * j) % 5000}," for j in range(250)) for i in range(2000)]
    start = time.process_time()
    tokenizer = Tokenizer(num_words=1000)
    tokenizer.fit_on_texts(texts)
    tokenizer.texts_to_sequences(texts)
    assert time.process_time() - start < 2


def test_padding_and_cutting_are_at_the_start_by_default():
    padded = pad_sequences([[1, 2], [3, 4, 5, 6], []], maxlen=3)
    assert padded.tolist() == [[0, 1, 2], [4, 5, 6], [0, 0, 0]]
    assert padded.dtype == np.int32


def test_padding_and_cutting_can_each_be_at_the_end():
    sequences = [[1, 2], [3, 4, 5, 6]]
    assert pad_sequences(sequences, 3, padding="post").tolist() == [[1, 2, 0], [4, 5, 6]]
    assert pad_sequences(sequences, 3, truncating="post").tolist() == [[0, 1, 2], [3, 4, 5]]


def test_without_maxlen_the_longest_sequence_gives_the_length():
    assert pad_sequences([[1], [2, 3, 4], []]).shape == (3, 3)
    assert pad_sequences([[], []]).shape == (2, 0)
    assert pad_sequences([]).shape == (0, 0)


def test_the_filling_and_its_type_can_be_chosen():
    padded = pad_sequences([[0.5]], maxlen=2, dtype="float32", value=-1)
    assert padded.tolist() == [[-1, 0.5]]
    assert padded.dtype == np.float32


def test_arrays_are_padded_too_and_nothing_given_is_changed():
    sequences = [np.array([1, 2, 3]), [4]]
    assert pad_sequences(sequences, maxlen=2).tolist() == [[2, 3], [0, 4]]
    assert sequences[0].tolist() == [1, 2, 3]
    assert sequences[1] == [4]


def test_wrong_padding_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match="padding='left' is unknown; choose one of 'pre', 'post'"):
        pad_sequences([[1]], padding="left")
    with pytest.raises(ValueError, match="truncating='right' is unknown; choose one of 'pre', 'post'"):
        pad_sequences([[1]], truncating="right")
    with pytest.raises(ValueError, match=r"maxlen must be at least 1.*got 0"):
        pad_sequences([[1]], maxlen=0)


@pytest.mark.parametrize("sequences", [[[1], 2], [[1], "the cat"]])
def test_what_is_no_list_of_lists_is_refused_with_the_remedy(sequences):
    with pytest.raises(TypeError, match=r"sequences\[1\] must be a list of numbers.*texts_to_sequences"):
        pad_sequences(sequences)


def test_ids_that_the_dtype_cannot_hold_are_refused_rather_than_wrapped():
    with pytest.raises(ValueError, match="too far for int32: give a dtype"):
        pad_sequences([np.array([2**33])])
    with pytest.raises(TypeError, match=r"sequences must hold numbers.*texts_to_sequences"):
        pad_sequences([["1", "2"]])


def test_an_error_halfway_through_the_texts_leaves_the_tokenizer_as_it_was():
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["a b"])
    with pytest.raises(TypeError):
        tokenizer.fit_on_texts(["c c c", 5])
    assert tokenizer.word_counts == {"a": 1, "b": 1}
    assert tokenizer.document_count == 1


def test_num_words_must_be_a_integer_from():
    with pytest.raises(TypeError, match="num_words must be an integer or None, got '10'"):
        Tokenizer("10")


@pytest.mark.parametrize("argument", ["filters", "split", "oov_token"])
def test_signs_and_words_of_a_tokenizer_must_be_str(argument):
    with pytest.raises(TypeError, match=f"{argument} must be a str, got 5"):
        Tokenizer(**{argument: 5})


def test_what_holds_no_texts_or_ids_is_refused():
    with pytest.raises(TypeError, match="texts must be a list of texts, got a int"):
        Tokenizer().fit_on_texts(5)
    for sequences in (5, [5], [[{}]]):
        with pytest.raises(TypeError, match="sequences must be a list of lists of ids"):
            fitted().sequences_to_texts(sequences)


@pytest.mark.parametrize("sequences", [5, (row for row in [[1]]), {0: [1]}, np.ma.array([[1]])])
def test_sequences_without_a_length_and_an_order_are_not_padded(sequences):
    with pytest.raises(TypeError, match="sequences is a"):
        pad_sequences(sequences)


@pytest.mark.parametrize(
    "sequences", [[[1], {2}], [[1], {2: 3}], [[1], [[2]]], [[1], [2, [3]]], [[1], np.ma.array([1])]]
)
def test_a_sequence_that_is_no_list_of_numbers_is_refused_by_its_number(sequences):
    with pytest.raises((ValueError, TypeError), match=r"sequences\[1\]"):
        pad_sequences(sequences)


@pytest.mark.parametrize(
    ("sequences", "settings", "message"),
    [
        ([[0.5]], {}, "sequences hold fractions, which int32 would truncate: give dtype='float32'"),
        ([[1]], {"value": 0.5}, "value=0.5 is not a number of int32"),
        ([[1]], {"value": np.int64(2**40)}, "is not a number of int32"),
        ([[1]], {"value": float("nan")}, "value=nan is not a number of int32"),
        ([[1]], {"value": 300, "dtype": "int8"}, "value=300 is not a number of int8"),
        ([[1]], {"dtype": "text"}, "dtype is 'text', expected an integer or floating-point type"),
        ([[1]], {"dtype": "U2"}, "dtype is 'U2', expected an integer or floating-point type"),
    ],
)
def test_nothing_is_rounded_or_wrapped_to_fit_the_dtype(sequences, settings, message):
    with pytest.raises(ValueError, match=message):
        pad_sequences(sequences, maxlen=2, **settings)
