"""Texts of one's own: read from four kinds of source, and refused with the line where something is wrong."""

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import os
import re
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minilstm.data.own import Row, load_own

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
HEAD = "text,label\nfine,good\n"
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
    items = write("r.json", "\ufeff" + end.join(["[", '{"text": "hello", "label": "good"}', "]", ""]))
    assert pairs(load_own(items)) == [("hello", "good")]


@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_no_line_end_of_another_system_becomes_part_of_a_word(write, tmp_path, end):
    text, expected = f"a fine{end}film{end}", [("a fine\nfilm\n", "good")]
    assert pairs(load_own(write("r.csv", f'text,label{end}"{text}",good{end}'))) == expected
    assert pairs(load_own(write("r.jsonl", json.dumps({"text": text, "label": "good"})))) == expected
    write("r/good/1.txt", text)
    assert pairs(load_own(tmp_path / "r")) == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("sep", ["", "sep={}\r\n"])
def test_the_delimiter_of_a_table_is_found_in_its_head(write, delimiter, sep):
    rows = [["id", "label", "text"], ["1", "good", '"a, b; c | d\te"'], ["2", "bad", "x"]]
    content = sep.format(delimiter) + "\r\n".join(delimiter.join(row) for row in rows)
    assert pairs(load_own(write("r.csv", content))) == [("a, b; c | d\te", "good"), ("x", "bad")]


def test_a_line_that_names_the_delimiter_counts_as_a_line(write):
    file = write("r.csv", "sep=;\ntext;label\nx;good\ny;bad\n")
    assert [row.where for row in load_own(file)] == [f"{file}:3", f"{file}:4"]


@pytest.mark.parametrize("given", ["~", "tab", "\\t"])
def test_another_delimiter_can_be_given(write, given):
    sign = {"~": "~"}.get(given, "\t")
    file = write("r.csv", f"text{sign}label\na,b{sign}good\n")
    assert pairs(load_own(file, delimiter=given)) == [("a,b", "good")]


def test_a_space_after_each_comma_is_left_out_if_the_head_has_it_too(write):
    file = write("r.csv", '"label", "text"\npos, "good, film"\nneg, bad\n')
    assert pairs(load_own(file)) == [("good, film", "pos"), ("bad", "neg")]
    assert pairs(load_own(write("r.csv", "label,text\npos, good\n"))) == [(" good", "pos")]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "UTF8"])
def test_another_encoding_can_be_given(write, tmp_path, encoding):
    file = write("r.csv", "text,label\r\ncafé,good\r\n".encode(encoding))
    assert pairs(load_own(file, encoding=encoding)) == [("café", "good")]
    write("r/good/1.txt", "café".encode(encoding))
    assert pairs(load_own(tmp_path / "r", encoding=encoding)) == [("café", "good")]


def zipped(content, *names):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return out.getvalue()


PACKERS = {
    "r.csv.gz": gzip.compress,
    "r.csv.bz2": bz2.compress,
    "r.csv.XZ": lzma.compress,
    "r.zip": lambda content: zipped(content, "folder/", "folder/r.csv", "__MACOSX/folder/._r.csv"),
    "r.csv": gzip.compress,  # a download that lost its ending
}


@pytest.mark.parametrize("name", PACKERS)
def test_a_file_may_be_compressed(write, name):
    assert pairs(load_own(write(name, PACKERS[name](HEAD.encode())))) == [("fine", "good")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("r.csv.gz", gzip.compress(HEAD.encode(), mtime=0)[:-6], r"r\.csv\.gz cannot be decompressed: "),
        ("r.csv.bz2", bz2.compress(HEAD.encode())[:-6], r"r\.csv\.bz2 cannot be decompressed: "),
        ("r.csv.bz2", bz2.compress(HEAD.encode())[:-6] + b"123456", r"r\.csv\.bz2 cannot be decompressed: "),
        ("r.csv.xz", lzma.compress(HEAD.encode())[:-6] + b"123456", r"r\.csv\.xz cannot be decompressed: "),
        ("r.zip", b"PK\3\4", r"r\.zip cannot be decompressed: "),
        ("r.zip", zipped(HEAD, "a.csv", "b.csv"), r"r\.zip holds 2 files, expected one: unpack it and pass the folder"),
        ("r.zip", zipped(HEAD, "a.doc"), r"r\.zip is of no known kind"),
    ],
)
def test_a_damaged_or_ambiguous_compressed_file_is_refused(write, name, content, message):
    with pytest.raises(ValueError, match=message):
        load_own(write(name, content))


@pytest.mark.parametrize(
    "content",
    [
        HEAD.encode(),
        gzip.compress(HEAD.encode(), mtime=0),
        b'\xef\xbb\xbf{"text": "fine", "label": "good"}\n',
        b' [{"text": "fine", "label": "good"}]',
    ],
)
def test_standard_input_may_hold_a_table_or_json_in_either_form(content, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    [row] = load_own("-")
    assert (row.text, row.label) == ("fine", "good")
    assert row.where.startswith("standard input")


def test_without_standard_input_there_is_nothing_to_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(ValueError, match="- holds no texts"):
        load_own("-")


def test_json_may_be_a_list_of_objects_whatever_the_ending(write):
    items = [{"text": "x", "label": 1}, {"text": "y", "label": "b"}]
    for name in ("r.json", "r.jsonl"):
        file = write(name, json.dumps(items, indent=2))
        assert load_own(file) == [Row("x", "1", f"{file}, item 1"), Row("y", "b", f"{file}, item 2")]
    assert pairs(load_own(write("r.json", "\n".join(map(json.dumps, items))))) == [("x", "1"), ("y", "b")]


def test_without_labels_the_same_sources_are_read_and_files_of_lines_too(write, tmp_path):
    assert pairs(load_own(write("r.csv", "id;text\n1;fine"), labelled=False)) == [("fine", "")]
    assert pairs(load_own(write("r.csv", HEAD), labelled=False)) == [("fine", "")]
    assert pairs(load_own(write("r.jsonl", '{"text": "fine", "label": null}'), labelled=False)) == [("fine", "")]
    file = write("r.txt.gz", gzip.compress("one\r\n\r\n\ufeffthree\u2028\r\n".encode()))
    assert load_own(file, labelled=False) == [
        Row("one", "", f"{file}:1"),
        Row("", "", f"{file}:2"),
        Row("\ufeffthree\u2028", "", f"{file}:3"),
    ]
    for name in ("r/pos/1.txt", "r/2.txt"):
        write(name, name)
    assert pairs(load_own(tmp_path / "r", labelled=False)) == [("r/2.txt", ""), ("r/pos/1.txt", "")]


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["Pos", "pos", "neg", "POS"], "'POS' (1) / 'Pos' (1) / 'pos' (1)"),
        (["0", "0.0", "1"], "'0' (1) / '0.0' (1)"),
        (["neg", "'neg'", "pos", "pos"], "\"'neg'\" (1) / 'neg' (1)"),
        (["\ufb01lm", "film"], "'film' (1) / '\ufb01lm' (1)"),
    ],
)
def test_labels_that_look_alike_are_named_and_stay_different(write, labels, named):
    file = write("r.jsonl", "\n".join(json.dumps({"text": "x", "label": label}) for label in labels))
    with pytest.warns(
        UserWarning, match=f"look alike but count as different: {re.escape(named)}; if they mean the same"
    ):
        assert [row.label for row in load_own(file)] == labels


def test_a_long_text_in_a_table_is_read_and_the_limit_of_other_readers_stays_as_it_was(write):
    before = csv.field_size_limit(1000)
    assert pairs(load_own(write("r.csv", HEAD + "x" * 200_000 + ",good\n")))[1] == ("x" * 200_000, "good")
    assert csv.field_size_limit(before) == 1000


def test_a_jsonl_label_may_be_an_integer_or_a_truth_value(write):
    labels = ["good", 3, True]
    file = write("r.jsonl", "\n\n".join(json.dumps({"text": "x", "label": label}) for label in labels))
    assert load_own(file) == [Row("x", "good", f"{file}:1"), Row("x", "3", f"{file}:3"), Row("x", "true", f"{file}:5")]


def test_a_folder_gives_a_text_for_each_txt_file_with_its_folder_as_label(write, tmp_path):
    for name in ("r/spam/b.txt", "r/ham/a.txt", "r/spam/a.TXT"):
        write(name, f"this is {name}")
    assert load_own(tmp_path / "r") == [
        Row(f"this is r/{name}", label, str(tmp_path / "r" / name))
        for label, name in [("ham", "ham/a.txt"), ("spam", "spam/a.TXT"), ("spam", "spam/b.txt")]
    ]


def test_files_of_a_folder_that_are_not_read_are_counted_and_named(write, tmp_path):
    for name in ("r/ham/a.txt", "r/ham/b.md", "r/ham/more/c.txt", "r/ham/d.txt/e", "r/README"):
        write(name, "fine")
    with pytest.warns(UserWarning, match=r"not read in .*: README, ham/b\.md, ham/d\.txt and 1 more; only \.txt"):
        assert len(load_own(tmp_path / "r")) == 1


def test_hidden_files_and_what_macos_adds_are_left_out_without_a_word(write, tmp_path):
    write("r/ham/a.txt", "fine")
    for name in ("r/ham/._a.txt", "r/__MACOSX/ham/._a.txt", "r/.git/b.txt", "r/.DS_Store", "r/ham/.DS_Store"):
        write(name, b"\0\5\x16\7")
    assert pairs(load_own(tmp_path / "r")) == [("fine", "ham")]


@given(st.lists(st.tuples(TEXT, LABEL), min_size=1))
def test_what_was_written_is_read_again_from_csv_and_tsv_and_jsonl(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("own")
    expected = [(text.replace("\r\n", "\n").replace("\r", "\n"), label) for text, label in rows]
    for name, delimiter in (("r.csv", ","), ("r.tsv", "\t")):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, delimiter=delimiter).writerows([("text", "label"), *rows])
        assert pairs(load_own(folder / name)) == expected
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    (folder / "r.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert pairs(load_own(folder / "r.jsonl")) == expected


# What is refused


@given(st.lists(st.sampled_from([b"text", b"label", b",", b'"', b"\n", b"\r", b"\0", b"\xe9", b"{", b":", b"}", b"["])))
def test_whatever_bytes_a_file_holds_it_is_read_or_refused(tmp_path_factory, pieces):
    folder = tmp_path_factory.mktemp("own")
    for name in ("r.csv", "r.jsonl"):
        for head in (b"", b"text,label\n", b'{"text": "x", "label": "y"}\n'):
            (folder / name).write_bytes(head + b"".join(pieces))
            with contextlib.suppress(ValueError):
                assert all(row.label for row in load_own(folder / name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"r\.csv holds no texts"),
        ("text,label\n", r"r\.csv holds no texts"),
        (
            "texts;label\nfine;good\n",
            r"r\.csv:1: no columns are named 'text', .* has 'texts', 'label'; .*--text-column",
        ),
        ("A film, a plot, " + "x" * 999 + "\n", r"has 'A film', 'a plot', 'x{40}'; add a head if there is none, or"),
        (",".join(f"c{n}" for n in range(99)) + "\n", r"'c10', 'c11' and 87 more; add a head"),
        (
            'label,text\npos, "good, film"\n',
            r"r\.csv:2: .* that contains a comma in double quotes, with no space before",
        ),
        ("\ntext,lable\nfine,good\n", r"r\.csv:2: no columns are named 'label', .* has 'text', 'lable'"),
        ("text,label,text\nfine,good,x\n", r"r\.csv:1: 2 columns are named 'text', expected one"),
        (HEAD + "bad,\n", r"r\.csv:3: the label is empty"),
        (HEAD + "bad, \t\n", r"r\.csv:3: the label is empty"),
        (HEAD + "one, two,good\n", r"r\.csv:3: 3 fields, expected 2 as in the head; .* comma in double quotes"),
        (HEAD.replace(",", ";") + "a;b;good\n", r"r\.csv:3: 3 fields, .* semicolon in double quotes"),
        (HEAD + "bad\n", r"r\.csv:3: 1 fields, expected 2"),
        (HEAD + 'fine,good\n"never closed,good\nfine,good\n', r"r\.csv:4: .*quote that is not closed"),
        (HEAD + '"an "inner" quote",good\n', r"r\.csv:3: .*not doubled"),
        (
            HEAD.encode() + b"caf\xe9,good\n",
            r"r\.csv:3: byte 0xe9 is not UTF-8; save the file as UTF-8, or .*--encoding cp1252",
        ),
        (b"\xef\xbb\xbf" + HEAD.encode() + b"\xff,good\n", r"r\.csv:3: byte 0xff is not UTF-8"),
        (HEAD.encode("utf-16"), r"r\.csv:1: byte 0xff is not UTF-8"),
        (HEAD.encode("utf-16-le"), r"r\.csv:1: a NUL byte, so this is not text, or it is UTF-16"),
        (HEAD + "f\0ne,good\n", r"r\.csv:3: a NUL byte"),
    ],
)
def test_a_table_with_something_wrong_in_it_is_refused_with_the_line(write, content, message):
    with pytest.raises(ValueError, match=message):
        load_own(write("r.csv", content))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("text: hello", r"r\.jsonl:2: not JSON"),
        ('{"text": "hello", ', r"r\.jsonl:2: not JSON"),
        ("[" * 100_000, r"r\.jsonl:2: not JSON"),
        ('{"text": "x", "label": ' + "1" * 5000 + "}", r"r\.jsonl:2: not JSON"),
        ("[1, 2]", r"r\.jsonl:2: a JSON list, expected an object such as"),
        ("{}", r"r\.jsonl:2: expected 'text' .* which are none"),
        ('{"text": "x", "lable": "good"}', r"'label' with a label among its keys, which are 'text', 'lable'"),
        ('{"text": 3, "label": "good"}', r"r\.jsonl:2: 'text' is 3, expected a string"),
        ('{"text": "x", "label": null}', r"r\.jsonl:2: 'label' is null, expected a string, an integer, true or false"),
        ('{"text": "x", "label": 1.0}', r"'label' is 1\.0, expected a string, an integer, true or false"),
        ('{"text": "x", "label": ""}', r"r\.jsonl:2: the label is empty"),
    ],
)
def test_a_jsonl_file_with_something_wrong_in_it_is_refused_with_the_line(write, line, message):
    with pytest.raises(ValueError, match=message):
        load_own(write("r.jsonl", '{"text": "hello", "label": "good"}\n' + line + "\n"))


def test_a_folder_without_texts_or_with_what_is_no_text_is_refused(write, tmp_path):
    (tmp_path / "r" / "ham").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"ham holds no \.txt files; expected a \.csv, .*sub-folder"):
        load_own(tmp_path / "r")
    write("all/train/pos/1.txt", "fine")
    write("all/train/neg/1.txt", "bad")
    with pytest.raises(
        ValueError, match=r"train holds no .txt files; it has folders, neg, pos: pass .*train if these are the"
    ):
        load_own(tmp_path / "all")
    write("r/ham/a.txt", b"\xff\xd8 a photograph")
    with pytest.raises(ValueError, match=r"a\.txt:1: byte 0xff is not UTF-8"):
        load_own(tmp_path / "r")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no texts"):
        load_own(tmp_path / "empty")


def test_what_is_not_there_or_of_another_kind_is_refused_with_the_kinds_there_are(write, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"nothing at .*nowhere\.csv, expected a \.csv, \.tsv, \.jsonl or \.json file"
    ):
        load_own(tmp_path / "nowhere.csv")
    with pytest.raises(
        ValueError, match=r"r\.xlsx is of no known kind, expected a \.csv, \.tsv, \.jsonl or \.json file"
    ):
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
    for name in ("text_column", "label_column", "delimiter", "encoding"):
        with pytest.raises(TypeError, match=rf"{name} must be a str, got \[1\]"):
            load_own(file, **{name: [1]})
    for delimiter in ("", ";;", '"', "\n"):
        with pytest.raises(ValueError, match="delimiter must be a single character or 'tab', got "):
            load_own(file, delimiter=delimiter)
    for encoding in ("utf-88", "\ud800"):
        with pytest.raises(ValueError, match=r"encoding '.*' is unknown; try 'utf-8'"):
            load_own(file, encoding=encoding)


def test_columns_are_not_chosen_for_a_folder_which_has_none(write, tmp_path):
    write("r/good/1.txt", "fine")
    with pytest.raises(ValueError, match="is a folder, which has no columns: leave text_column and label_column out"):
        load_own(tmp_path / "r", text_column="body")


@pytest.mark.parametrize(
    ("encoding", "written"), [("utf-16-le", "utf-16"), ("U8", "utf-8-sig"), ("utf_8", "utf-8-sig")]
)
def test_a_byte_order_mark_is_not_part_of_the_head_whatever_the_encoding_is_called(write, encoding, written):
    file = write("r.csv", HEAD.encode(written))
    assert pairs(load_own(file, encoding=encoding)) == [("fine", "good")]


@pytest.mark.parametrize("encoding", ["a\0b", "undefined", "punycode", "x" * 1000])
def test_an_encoding_that_is_not_one_of_files_is_refused_briefly(write, encoding):
    with pytest.raises(ValueError, match=r"^encoding '.{,60}'? is unknown; try 'utf-8'"):
        load_own(write("r.csv", HEAD), encoding=encoding)
