"""Texts of one's own: read from four kinds of source, and refused with the line where something is wrong."""

import contextlib
import csv
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm.data.own import Row, load_own

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
LABEL = st.sampled_from(["a", "ü b", "否", "1"])


def pairs(rows):
    return [(text, label) for text, label, _ in rows]


@pytest.fixture
def write(tmp_path):
    def write_file(name, content):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return write_file


# What can be read


def test_a_csv_file_gives_its_rows_in_order_with_the_line_where_each_begins(write):
    file = write("r.csv", 'id,label,text\n1,good,"one, two\nthree ""four"""\n\n2, bad ,five\n')
    assert load_own(file) == [Row('one, two\nthree "four"', "good", f"{file}:2"), Row("five", "bad", f"{file}:5")]


def test_columns_may_have_other_names(write):
    file = write("r.csv", "body;x,kind\nhello,spam\n")
    assert pairs(load_own(file, text_column="body;x", label_column="kind")) == [("hello", "spam")]
    file = write("r.jsonl", '{"body": "hello", "kind": "spam"}')
    assert pairs(load_own(file, text_column="body", label_column="kind")) == [("hello", "spam")]


def test_a_tsv_file_is_split_at_tabs(write):
    assert pairs(load_own(write("r.TSV", "text\tlabel\nhello, you\tgood\n"))) == [("hello, you", "good")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_and_a_byte_order_mark_will_do(write, end):
    table = write("r.csv", "\ufeff" + end.join(["text,label", "hello,good", ""]))
    assert pairs(load_own(table)) == [("hello", "good")]
    lines = write("r.jsonl", "\ufeff" + end.join(['{"text": "hello", "label": "good"}', ""]))
    assert pairs(load_own(lines)) == [("hello", "good")]


def test_a_jsonl_label_may_be_a_integer_from_or_a_truth_value(write):
    labels = ["good", 3, True]
    file = write("r.jsonl", "\n\n".join(json.dumps({"text": "x", "label": label}) for label in labels))
    assert load_own(file) == [Row("x", "good", f"{file}:1"), Row("x", "3", f"{file}:3"), Row("x", "true", f"{file}:5")]


def test_a_folder_gives_a_text_for_each_txt_file_with_its_folder_as_label(write, tmp_path):
    for name in ("r/spam/b.txt", "r/ham/a.txt", "r/spam/a.txt", "r/.git/c.txt", "r/ham/d.md", "r/README"):
        write(name, f"this is {name}")
    write("r/spam/e.txt/f", "a folder with the name of a text")
    assert load_own(tmp_path / "r") == [
        Row(f"this is r/{label}/{name}.txt", label, str(tmp_path / "r" / label / f"{name}.txt"))
        for label, name in [("ham", "a"), ("spam", "a"), ("spam", "b")]
    ]


@given(st.lists(st.tuples(TEXT, LABEL), min_size=1))
def test_what_was_written_is_read_again_from_csv_and_tsv_and_jsonl(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("own")
    for name, delimiter in (("r.csv", ","), ("r.tsv", "\t")):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
        assert pairs(load_own(folder / name)) == rows
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    (folder / "r.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert pairs(load_own(folder / "r.jsonl")) == rows


# What is refused


@given(st.lists(st.sampled_from([b"text", b"label", b",", b'"', b"\n", b"\r", b"\0", b"\xe9", b"{", b":", b"}", b"["])))
def test_whatever_bytes_a_file_holds_it_is_read_or_refused(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("own")
    for name in ("r.csv", "r.jsonl"):
        for head in (b"", b"text,label\n", b'{"text": "x", "label": "y"}\n'):
            (folder / name).write_bytes(head + b"".join(pieces))
            with contextlib.suppress(ValueError):
                assert all(row.label for row in load_own(folder / name))


HEAD = "text,label\nfine,good\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"r\.csv holds no texts"),
        ("text,label\n", r"r\.csv holds no texts"),
        ("text;label\nfine;good\n", r"r\.csv:1: no columns are named 'text', .* has 'text;label'; .*--text-column"),
        ("\ntext,lable\nfine,good\n", r"r\.csv:2: no columns are named 'label', .* has 'text', 'lable'"),
        ("text,label,text\nfine,good,x\n", r"r\.csv:1: 2 columns are named 'text', expected one"),
        (HEAD + "bad,\n", r"r\.csv:3: the label is empty"),
        (HEAD + "bad, \t\n", r"r\.csv:3: the label is empty"),
        (HEAD + "one, two,good\n", r"r\.csv:3: 3 fields, expected 2 as in the head; .* comma in double quotes"),
        (HEAD + "bad\n", r"r\.csv:3: 1 fields, expected 2"),
        (HEAD + 'fine,good\n"never closed,good\nfine,good\n', r"r\.csv:4: .*quote that is not closed"),
        (HEAD + '"an "inner" quote",good\n', r"r\.csv:3: .*not doubled"),
        (HEAD + "x" * 200_000 + ",good\n", r"r\.csv:3: .*field larger than field limit"),
        (HEAD.encode() + b"caf\xe9,good\n", r"r\.csv:3: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (b"\xef\xbb\xbf" + HEAD.encode() + b"\xff,good\n", r"r\.csv:3: byte 0xff is not UTF-8"),
        (HEAD.encode("utf-16"), r"r\.csv:1: byte 0xff is not UTF-8"),
        (HEAD.encode("utf-16-le"), r"r\.csv:1: a NUL byte, so this is no text, or UTF-16"),
        (HEAD + "f\0ne,good\n", r"r\.csv:3: a NUL byte"),
    ],
)
def test_a_table_with_something_wrong_in_it_is_refused_with_the_line(write, content, message):
    with pytest.raises(ValueError, match=message):
        load_own(write("r.csv", content))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("text: hello", r"r\.jsonl:2: no JSON"),
        ('{"text": "hello", ', r"r\.jsonl:2: no JSON"),
        ("[" * 100_000, r"r\.jsonl:2: no JSON"),
        ('{"text": "x", "label": ' + "1" * 5000 + "}", r"r\.jsonl:2: no JSON"),
        ("[1, 2]", r"r\.jsonl:2: a JSON list, expected an object on each line"),
        ("{}", r"r\.jsonl:2: expected 'text' .* which are none"),
        ('{"text": "x", "lable": "good"}', r"'label' with a label among its keys, which are 'text', 'lable'"),
        ('{"text": 3, "label": "good"}', r"expected 'text' with a text"),
        ('{"text": "x", "label": null}', r"'label' with a label"),
        ('{"text": "x", "label": 0.5}', r"'label' with a label"),
        ('{"text": "x", "label": ""}', r"r\.jsonl:2: the label is empty"),
    ],
)
def test_a_jsonl_file_with_something_wrong_in_it_is_refused_with_the_line(write, line, message):
    with pytest.raises(ValueError, match=message):
        load_own(write("r.jsonl", '{"text": "hello", "label": "good"}\n' + line + "\n"))


def test_a_folder_without_texts_or_with_what_is_no_text_is_refused(write, tmp_path):
    (tmp_path / "r" / "ham").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"ham holds no \.txt files, expected a \.csv, .*sub-folder"):
        load_own(tmp_path / "r")
    write("r/ham/a.txt", b"\xff\xd8 a photograph")
    with pytest.raises(ValueError, match=r"a\.txt:1: byte 0xff is not UTF-8"):
        load_own(tmp_path / "r")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no texts"):
        load_own(tmp_path / "empty")


def test_what_is_not_there_or_of_another_kind_is_refused_with_the_kinds_there_are(write, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing at .*nowhere\.csv, expected a \.csv, \.tsv or \.jsonl file"):
        load_own(tmp_path / "nowhere.csv")
    with pytest.raises(ValueError, match=r"r\.xlsx is of no known kind, expected a \.csv, \.tsv or \.jsonl file"):
        load_own(write("r.xlsx", b"PK"))


def test_a_pipe_or_device_is_refused_since_it_might_never_end(tmp_path):
    os.mkfifo(tmp_path / "r.csv")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for name in ("r.csv", "zero.jsonl"):
        with pytest.raises(ValueError, match="is a pipe or a device, which might never end"):
            load_own(tmp_path / name)


def test_arguments_of_another_type_are_refused_by_name(write):
    with pytest.raises(TypeError, match="path must be a str or a Path, got 3"):
        load_own(3)
    file = write("r.jsonl", '{"text": "hello", "label": "good"}')
    with pytest.raises(TypeError, match=r"text_column must be a str, got \[1\]"):
        load_own(file, text_column=[1])
