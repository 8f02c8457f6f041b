"""Tables as they come: marks between cells, headers or none, decimal commas, encodings, other formats, labels."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cpvae import InputError
from cpvae.data.loaders import load
from cpvae.data.loaders.text import find_form
from cpvae.data.schema import Schema
from cpvae.study.inputs import rows_of
from test_cli import TINY, done, refused

R = np.random.default_rng(0)
ROWS = [f"{a:.2f},{b:.2f},{c}" for a, b, c in zip(R.normal(size=40), R.normal(size=40), "ab" * 20, strict=True)]


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def zipped(content: bytes, names: tuple[str, ...] = ("a",)) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name in names:
                archive.writestr(name, content)
        return file.getvalue()


def table(path: Path) -> pd.DataFrame:
    frame = rows_of(load(path), "all")
    assert isinstance(frame, pd.DataFrame)
    return frame


@pytest.mark.parametrize(
    ("text", "columns", "cells"),
    [
        ("a;b\n1;2\n3;4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("a;b\n1,5;2,25\n3,5;4,75\n", ["a", "b"], [[1.5, 2.25], [3.5, 4.75]]),
        ("a;b\n1.200;2,25\n3.500;4,75\n", ["a", "b"], [[1200, 2.25], [3500, 4.75]]),
        ("a;b\n1,200;x\n3,500;y\n", ["a", "b"], [[1.2, "x"], [3.5, "y"]]),
        ('a,b\n"1,5","2,25"\n"3,5","4,75"\n', ["a", "b"], [[1.5, 2.25], [3.5, 4.75]]),
        ('a,b\n"1,200",2.5\n"3,400",3\n', ["a", "b"], [[1200, 2.5], [3400, 3]]),
        ("a,b\n45%,1\n7.5%,2\n", ["a", "b"], [[45, 1], [7.5, 2]]),
        ("a\n1,5\n2,25\n", ["a"], [[1.5], [2.25]]),
        ("a\tb\n1\t\n3\t4\n", ["a", "b"], [[1, None], [3, 4]]),
        ("sep=;\na;b\n1,5;2\n2,5;3\n", ["a", "b"], [[1.5, 2], [2.5, 3]]),
        ("a|b\n1|x,y\n3|z\n", ["a", "b"], [[1, "x,y"], [3, "z"]]),
        ("1.5  2.5\n 3.5 4.5\n5.5 7\n", ["0", "1"], [[1.5, 2.5], [3.5, 4.5], [5.5, 7]]),
        ("a b\n1.5  2.5\n 3.5 4.5\n", ["a", "b"], [[1.5, 2.5], [3.5, 4.5]]),
        ("name\nNew York\nLos Angeles\n", ["name"], [["New York"], ["Los Angeles"]]),
        ("a, b\n1, x\n2, y\n", ["a", "b"], [[1, "x"], [2, "y"]]),
        ('a,b\n1,"x\ny"\n2,"z"\n', ["a", "b"], [[1, "x\ny"], [2, "z"]]),
        ("a,b\nNA,x\n2,?\n3,-\n", ["a", "b"], [[None, "x"], [2, None], [3, None]]),
        ("a b\n'u' 1.5 2.5\n'v' 3.5 4.5\n", ["rownames", "a", "b"], [["'u'", 1.5, 2.5], ["'v'", 3.5, 4.5]]),
        ("a,b\n0,1.5,x\n1,2.5,y\n", ["rownames", "a", "b"], [[0, 1.5, "x"], [1, 2.5, "y"]]),
        ("1.5 2.5\n3.5 nan\nnan 7\n", ["0", "1"], [[1.5, 2.5], [3.5, None], [None, 7]]),
        ("\ufeffa,b\r\n1,2\r\n3,4\r\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("# made by us\n\n# version 2, of 2024\na,b\n1,2\n3,4\n", ["a", "b"], [[1, 2], [3, 4]]),
        ("# a,b\n1,2\n3,4\n", ["a", "b"], [[1, 2], [3, 4]]),  # as numpy.savetxt writes them
        ("# a b\n1.5 2\n3.5 4\n", ["a", "b"], [[1.5, 2], [3.5, 4]]),
        ("#chrom\tstart\nx\t2\ny\t4\nx\t7\n", ["chrom", "start"], [["x", 2], ["y", 4], ["x", 7]]),
        ("#,a\n1,2\n2,4\n", ["#", "a"], [[1, 2], [2, 4]]),
        ("a,b\n70.5 kg,(3.5)\n9 kg,2\n", ["a", "b"], [[70.5, -3.5], [9, 2]]),
        ('a,b,c\n-$7.50,"($1,200)",$(3)\n$9,$2,$4\n', ["a", "b", "c"], [[-7.5, -1200, -3], [9, 2, 4]]),
        ("zip,n\n01067,1\n10115,2\n", ["zip", "n"], [["01067", 1], ["10115", 2]]),
        ("a ,b \n1,x\n2,y\n", ["a", "b"], [[1, "x"], [2, "y"]]),
        ("a b\n1 x\n2 y\n", ["a", "b"], [[1, "x"], [2, "y"]]),
        ("a^b\n1^x\n2^y\n", ["a", "b"], [[1, "x"], [2, "y"]]),
        ("a,b\n=\"1.5\",'7'\n=\"2\",'8'\n", ["a", "b"], [[1.5, 7], [2, 8]]),
        ("a,b\n1,9999-12-31\n2,2024-01-31\n", ["a", "b"], [[1, None], [2, "2024-01-31"]]),
    ],
)
def test_marks_and_numbers(text, columns, cells, tmp_path):
    found = table(written(tmp_path / "a.csv", text))
    assert list(found.columns) == columns
    assert found.astype(object).where(found.notna(), None).to_numpy().tolist() == cells


@pytest.mark.parametrize(
    ("lines", "header"),
    [
        (ROWS, False),
        (["x,y,kind", *ROWS], True),
        (["7,y,kind", *ROWS], True),  # a name that is a number above numbers, another that is none
        (["0,1,2", *[row[:-1] + "5" for row in ROWS]], True),  # as pandas counts columns
        (["2019,2020,2021", *[row[:-1] + "5" for row in ROWS]], True),
        (["country,2019,2020", *[f"c{i},{i}.5,2" for i in range(9)]], True),
        ([f"C{i:04},{i}.5,2" for i in range(9)], False),
        (["yes,no", "no,no", "yes,yes", "yes,no", "no,no"], False),
        (["owns,rents", "no,no", "yes,yes", "yes,no", "no,no"], True),
        (["1.5", "2.5", "3.5"], False),
        (["?,2.5", "1.5,2.5", "3.5,?"], False),
    ],
)
def test_headers(lines, header, tmp_path):
    path = written(tmp_path / "a.csv", "\n".join(lines))
    assert find_form(path).header == header
    frame = table(path)
    assert len(frame) == len(lines) - header
    assert (list(frame.columns) == [str(i) for i in range(frame.shape[1])]) == (not header or lines[0] == "0,1,2")


def test_what_is_not_usual_is_told(tmp_path):
    data = load(written(tmp_path / "a.csv", "1,5;x\n2,5;x\n4,5;?\n1,5;y\n".encode("utf-16")))
    assert data.notes == (
        "a.csv: letters read as utf-16",
        "a.csv: cells separated by semicolons",
        "a.csv: the first line holds data, so that the columns are called '0' to '1'",
        "a.csv: numbers with decimal commas in 1 column ('0')",
        "a.csv: marks taken for missing cells: '?' (1 cell, in '1')",
    )
    assert load(written(tmp_path / "b.csv", "a,b\n1,x\n2,y\n")).notes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("My report\nof 2024\n\na,b\n1,2\n3,4\n", "the first 2 lines have 1 cell and all lines below have 2; expected"),
        ("a,b\n1,inf\n1e99,2\n3,4\n", "infinity in column 'b', data row 1; .*; also in 'a'"),
        ("a,b,c\n1,inf,x\n1e99,2,y\n3,4,x\n", "infinity in column 'b', data row 1; .*; also in 'a'"),
        ("a,g,a,g\n1,2,3,4\n", "2 columns are called 'a', 2 columns are called 'g'; expected different names"),
        (
            b"a,b\n1,\x8d\x81\n",
            "letters that are neither UTF-8 nor Windows-1252; expected UTF-8; save the file as UTF-8",
        ),
    ],
)
def test_texts_that_are_refused(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load(written(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": -0.41, "b": "01067"}, {"a": 2, "b": "10115"}]',
        '{"a": -0.41, "b": "01067"}\n{"a": 2, "b": "10115"}\n',
        '{"data": [{"a": -0.41, "b": "01067"}, {"a": 2, "b": "10115"}]}',
        '{"columns": ["a", "b"], "index": [0, 1], "data": [[-0.41, "01067"], [2, "10115"]]}',
        '{"a": {"0": -0.41, "1": 2}, "b": {"0": "01067", "1": "10115"}}',
        '{"0": {"a": -0.41, "b": "01067"}, "1": {"a": 2, "b": "10115"}}',
        '{"rows": [{"a": -0.41, "b": "01067"}, {"a": 2, "b": "10115"}], "version": 1, "columns": ["a"]}',
        '{"ok": true, "found": {"next": null, "rows": [{"a": -0.41, "b": "01067"}, {"a": 2, "b": "10115"}]}}',
        '{"columns": ["a", "b"], "rows": [[-0.41, "01067"], [2, "10115"]], "n": 2}',
        '[["a", "b"], [-0.41, "01067"], [2, "10115"]]',
    ],
)
def test_ways_to_write_json(text, tmp_path):
    assert table(written(tmp_path / "a.json", text)).to_numpy().tolist() == [[-0.41, "01067"], [2, "10115"]]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('{"a": 1.5, "b": "x"}', [[1.5, "x"]]),
        ('{"0": {"0": 1.5, "1": 2}, "1": {"0": "x", "1": "y"}}', [[1.5, "x"], [2, "y"]]),
        ('[["u", 1.5], ["v", 2.5], ["u", 3.5]]', [["u", 1.5], ["v", 2.5], ["u", 3.5]]),
    ],
)
def test_json_without_names_or_with_one_record(text, rows, tmp_path):
    assert table(written(tmp_path / "a.json", text)).to_numpy().tolist() == rows


def test_a_record_a_line_may_hold_other_ends_of_lines_and_the_line_at_fault_is_told(tmp_path):
    text = '{"a": 0.5, "b": "x\u2028y"}\n{"a": 2, "b": "z"}\n'
    assert table(written(tmp_path / "a.jsonl", text)).to_numpy().tolist() == [[0.5, "x\u2028y"], [2, "z"]]
    with pytest.raises(InputError, match="line 3, column 8: Expecting"):
        load(written(tmp_path / "b.jsonl", text + '{"a": 1'))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings(encoding, tmp_path):
    path = written(tmp_path / "a.csv", "größe,b\n1,é\n2,ü\n".encode(encoding))
    assert table(path).to_numpy().tolist() == [[1, "é"], [2, "ü"]]
    assert load(path).feature_names == ("größe", "b")


def test_letters_that_may_have_been_read_wrongly_are_shown(tmp_path):
    (note,) = load(written(tmp_path / "a.csv", "a,g\n1,да\n2,нет\n".encode("cp1251"))).notes
    assert note == "a.csv: letters read as cp1252, such as 'äà'; if they look wrong, save the file as UTF-8"


@pytest.mark.parametrize(
    ("suffix", "pack"),
    [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress), (".zip", zipped), ("", bytes)],
)
@pytest.mark.parametrize("kind", [".csv", ".tsv", ".txt", ".data"])
def test_packed(suffix, pack, kind, tmp_path):
    path = written(tmp_path / f"a{kind}{suffix}", pack(b"a\tb\n1\t2\n3\t4\n"))
    assert table(path).to_numpy().tolist() == [[1, 2], [3, 4]]


def test_an_archive_of_several_files_is_refused(tmp_path):
    path = written(tmp_path / "a.csv.zip", zipped(b"a,b\n1,2\n", ("a", "b")))
    with pytest.raises(InputError, match="an archive of 2 files; expected one; unpack it"):
        load(path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a.zip", "unpack the archive"),
        ("a.pkl", "to unpickle it could run code: save the rows"),
        ("a.sqlite", "save the table that you mean"),
        ("a.sav", "save it from SPSS as .csv"),
        ("a.xls", "save the workbook as .xlsx"),
        ("a.png", "for pictures give the folder"),
        ("a.what", "convert it to one of these"),
        ("-", "nothing is read from an address or from standard input"),
        ("https://example.org/a.csv", "nothing is read from an address"),
    ],
)
def test_formats_that_are_not_read_say_what_to_do(name, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "//" not in name:
        written(tmp_path / name, "x")
    with pytest.raises(InputError) as caught:
        load(name)
    assert str(caught.value).startswith(f"{name}: ")
    assert f"; {said}" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a;b\n1;2\n3;4;5\n",
            "line 3 has 3 cells and the first line 2; expected as many in every line, separated by semi",
        ),
        ("a\tb\ta\n1\t2\t3\n4\t5\t6\n", "2 columns are called 'a'; expected different names"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "it holds characters that no text has"),
        (b"\xff\xfea\x00", "0 rows; at least 1 is needed"),
        (
            "A title\n\na,b\n1,2\n3,4\n",
            "the first line has 1 cell and all lines below have 2; expected the names of the col",
        ),
        (
            "A title;;\n;;\na;b;c\n1;2;x\n3;4;y\n",
            "the first 2 lines have 1 cell and all lines below have 3; expected the names of the col",
        ),
        (
            "time,load,state\n[s],[N],[-]\n0.1,5,on\n0.2,,on\n",
            "the first 2 lines have text in columns of numbers ('[s]', '[N]'); expected the names of the columns in "
            "one line, and data below it; keep one of these lines",
        ),
        (
            "Q1,Q2,Q3\nHow old?,How tall?,Why?\n{1},{2},{3}\n31,1.8,so\n45,1.7,so\n",
            "the first 3 lines have text in columns of numbers ('How old?', 'How tall?')",
        ),
        ("\n \n", "an empty file; expected a header and rows of numbers"),
    ],
)
def test_refused(content, message, tmp_path):
    path = written(tmp_path / "a.csv", content)
    with pytest.raises(InputError) as caught:
        load(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_excel(tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame(
        {"a": [1.5, None, 3], "day": pd.to_datetime(["2024-01-31", None, "2024-02-01"]), "c": list("xyx")}
    )
    path = tmp_path / "a.xlsx"
    frame.assign(code=["01067", "10115", "01067"]).to_excel(path, index=False)
    found = table(path)
    kinds = [column.kind for column in Schema.infer(found).columns]
    assert kinds == ["categorical", "date", "categorical", "categorical"]
    assert found["a"].isna().tolist() == [False, True, False]
    assert found["code"].tolist() == ["01067", "10115", "01067"]
    with pd.ExcelWriter(path) as writer:
        for sheet in ("May", "June"):
            frame.to_excel(writer, sheet_name=sheet, index=False)
        pd.DataFrame().to_excel(writer, sheet_name="empty")
    pd.DataFrame().to_excel(tmp_path / "empty.xlsx")
    with pytest.raises(InputError, match="no sheet has cells; expected one with a table; write the table into it"):
        load(tmp_path / "empty.xlsx")
    with pytest.raises(InputError, match=r"2 sheets with cells \('May', 'June'\); expected one; save the one you mean"):
        load(path)


def test_feather(tmp_path):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"a": [1.5, None], "b": ["x", "y"]})
    frame.to_feather(tmp_path / "a.feather")
    pd.testing.assert_frame_equal(table(tmp_path / "a.feather"), frame)


ARFF = """% a comment
@RELATION beans
@ATTRIBUTE 'plant stand' {normal, 'lt normal'}
@ATTRIBUTE grade\t\t{0,1,2}
@ATTRIBUTE size REAL
@ATTRIBUTE note STRING
@ATTRIBUTE class {a, b}
@DATA

normal, 0, 1.5, 'first one', a
'lt normal', 2, ?, second, b
normal, ?, 2.5, third, b
"""


def test_arff(tmp_path):
    pytest.importorskip("arff")
    path = written(tmp_path / "a.arff", ARFF)
    frame = table(path)
    assert list(frame.columns) == ["plant stand", "grade", "size", "note", "class"]
    assert frame["plant stand"].tolist() == ["normal", "lt normal", "normal"]
    assert frame["grade"].fillna(-1).tolist() == [0, 2, -1]
    assert frame["size"].fillna(-1).tolist() == [1.5, -1, 2.5]
    data = load(path, labels="last")
    assert data.splits["all"].y.tolist() == ["a", "b", "b"]
    assert data.notes == ("a.arff: the labels are in the last column, 'class'",)
    with pytest.raises(InputError, match=r"cannot be read as an ARFF file \(BadAttributeFormat"):
        load(written(path, "@RELATION a\n@ATTRIBUTE b\n@DATA\n1"))


def test_labels_beside_a_table(tmp_path):
    frame = pd.DataFrame({"a": R.normal(size=9), "b": list("xyz" * 3)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    labels = written(tmp_path / "y.txt", "\n".join("uvw" * 3))
    data = load(tmp_path / "a.csv", labels=str(labels))
    assert data.feature_names == ("a", "b")
    assert data.splits["all"].y.tolist() == list("uvw" * 3)
    assert load(tmp_path / "a.csv", labels="b").splits["all"].y.tolist() == list("xyz" * 3)
    with pytest.raises(InputError, match="no label column 'c'; known: a, b"):
        load(tmp_path / "a.csv", labels="c")
    with pytest.raises(InputError, match="expected one label for each of the 9 rows"):
        load(tmp_path / "a.csv", labels=str(written(labels, "u\nv\n")))


def test_rows_without_a_label(tmp_path):
    path = written(tmp_path / "a.csv", "a,b\n1,x\n2,\n3,y\n4,NA\n")
    data = load(path, labels="b")
    assert data.splits["all"].y.tolist() == ["x", "(none)", "y", "(none)"]
    assert data.notes[-1].startswith("a.csv: 2 rows have no label in 'b': taken for '(none)', and left out where")
    with pytest.raises(InputError, match="label column 'b' is empty"):
        load(written(path, "a,b\n1,\n2,\n"), labels="b")


def test_an_index_is_the_names_of_the_rows(tmp_path):
    pytest.importorskip("pyarrow")
    pd.DataFrame({"a": [1.5, 2.5]}, index=["u", "v"]).to_parquet(tmp_path / "a.parquet")
    assert load(tmp_path / "a.parquet").splits["all"].row_names.tolist() == ["u", "v"]


# ---------------------------------------------------------------- commands


def test_as_many_labels_as_rows(tmp_path, monkeypatch):
    """Of a table without a header too, and with the identifiers that the fit left out."""
    monkeypatch.chdir(tmp_path)
    written(Path("cells.data"), "\n".join(f"{row},C{i:03}" for i, row in enumerate(ROWS)))
    answer = done("fit", "cells.data", "--out", "run", *(option for option in TINY if option != "--quiet"))
    assert "cells.data: the first line holds data, so that the columns are called '0' to '3'" in answer.err
    done("cluster", "run", "cells.data", "--out", "labels.csv")
    labels = pd.read_csv("labels.csv")
    assert list(labels.columns) == ["row", "3", "category", "probability", "odd"]
    assert labels["3"].tolist() == [f"C{i:03}" for i in range(40)]


def test_a_table_that_python_and_the_command_line_read_alike(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "customer": R.permutation(60) + 5000,
            "age": R.integers(18, 80, 60),
            "visits": R.poisson(2, 60),
            "member": R.random(60) < 0.5,
            "since": (pd.Timestamp("2024-01-01") + pd.to_timedelta(R.integers(0, 500, 60), "D")).strftime("%d.%m.%Y"),
            "share": [f"{value:.1f}%" for value in 100 * R.random(60)],
            "city": R.choice(list("NESW"), 60),
        }
    )
    frame.loc[3, "city"] = "n/a"
    frame.to_csv("t.csv", index=False)
    done("fit", "t.csv", "--out", "run", *TINY)
    kinds = json.loads(Path("run/config.json").read_text())["schema"]
    schema = Schema.infer(pd.read_csv("t.csv"))
    assert Schema.from_dict(kinds) == schema
    assert [column.kind for column in schema.columns] == [
        "numeric", "count", "categorical", "date", "numeric", "categorical",
    ]  # fmt: skip
    assert schema.identifiers == ("customer",)


def test_a_schema_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written(Path("t.csv"), "a,b\n1.5,2\n2.5,3\n3.5,4\n")
    os.mkfifo("pipe")
    written(Path("bytes.json"), b"\x89PNG\r\n\x1a\n")
    for name, said in {
        "bytes.json": "it is no text in UTF-8; expected a JSON object",
        ".": "a folder",
        "/dev/zero": "neither a file nor a folder",
        "pipe": "neither a file nor a folder",
        "nosuch.json": "No such file",
    }.items():
        assert refused("fit", "t.csv", "--schema", name, "--out", "new", *TINY).startswith(f"--schema {name}: {said}")
    assert not Path("new").exists()


@pytest.mark.parametrize("suffix", ["json", "jsonl", "json.gz", "dta", "orc"])
def test_other_formats_hold_the_same_table(suffix, tmp_path):
    frame = pd.DataFrame({"a": [1.5, 2.5, None, 3.0], "b": ["x", "y", "x", "y"], "when": ["2024-01-31"] * 4})
    path = tmp_path / f"a.{suffix}"
    if suffix == "dta":
        frame.to_stata(path, write_index=False)
    elif suffix == "orc":
        frame.to_orc(path)
    else:
        frame.to_json(path, orient="records", lines=suffix == "jsonl")
    pd.testing.assert_frame_equal(table(path), frame, check_dtype=False)


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\nunknown,n.d.,x\n1,2,y\n3,4,x\n",  # missing, as the cells below are numbers
        "a,b,c\n,,x\n1,2,y\n3,4,x\n",
        "a,b,c\nx,y,1\nu,v,2\n",
    ],
)
def test_a_first_row_without_numbers_is_no_second_header(content: str, tmp_path: Path) -> None:
    assert list(table(written(tmp_path / "a.csv", content)).columns) == ["a", "b", "c"]


def test_a_sheet_is_read_by_the_rules_of_a_text_file(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    path = tmp_path / "a.xlsx"

    def saved(*lines: list[Any]) -> Path:
        pd.DataFrame(lines).to_excel(path, index=False, header=False)
        return path

    found = load(saved([5.5, 2.25, "x"], [4.5, 1.75, "y"], [3.5, 1.25, "x"]))
    assert list(found.splits["all"].x.columns) == ["0", "1", "2"]
    assert found.notes == ("a.xlsx: the first line holds data, so that the columns are called '0' to '2'",)
    for lines, message in (
        ([["Survey", None, None], ["a", "b", "c"], [1, 2, 3]], "the first line has 1 cell and all lines below have 3"),
        ([["a", "b", "a"], [1, 2, 3]], "2 columns are called 'a'; expected different names; rename them"),
        ([["Person", None, "Car"], ["age", "size", "kW"], [31, 1.8, 50], [45, 1.7, 60]], "the first 2 lines have text"),
    ):
        with pytest.raises(InputError, match=re.escape(f"{path}: {message}")):
            load(saved(*lines))
    found = load(saved([" a ", None, "c"], [1, 2.5, "x"], [2, 3.5, "y"]))
    assert list(found.splits["all"].x.columns) == ["a", "Unnamed: 1", "c"]
    assert found.splits["all"].x["a"].to_csv(index=False).split() == ["a", "1", "2"]  # ids stay whole


def test_decimal_commas_are_told_only_where_there_are_some(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "a;b;c\n1,5;4;1.200\n2,5;NA;800\n")
    assert "a.csv: numbers with decimal commas in 2 columns ('a', 'c')" in load(path).notes


def test_a_sheet_begins_at_its_first_line_that_is_not_empty(tmp_path):
    pytest.importorskip("openpyxl")
    pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}).to_excel(tmp_path / "a.xlsx", index=False, startrow=3)
    assert table(tmp_path / "a.xlsx").to_numpy().tolist() == [[1, "x"], [2, "y"]]


def test_dates_of_arff_are_read(tmp_path):
    pytest.importorskip("arff")
    lines = ["@relation r", '@attribute since date "yyyy-MM-dd"', "@attribute 'a b' numeric", "@data"]
    path = written(tmp_path / "a.arff", "\n".join([*lines, "2024-01-31,1", "2024-02-01,2.5"]))
    assert [column.kind for column in Schema.infer(table(path)).columns] == ["date", "categorical"]
