"""What a file of texts holds: lines, marks and columns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from xai_ray.dataset_rows import read_dataset
from xai_ray.dataset_texts import read_texts
from xai_ray.errors import InputError
from xai_ray.game_spec import Dataset, PassageList, TextRow
from xai_ray.inputs import read_input, read_table

INNER = "form\x0cfeed, tab\x0b, unit\x1c\x1d\x1e, next\x85, line\u2028 and paragraph\u2029"


def test_a_line_ends_at_a_newline_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(f"first {INNER}\r\nsecond\rhalf\nthird".encode())
    assert read_texts(Dataset(dataset="x.txt"), tmp_path).texts == (f"first {INNER}", "second\rhalf", "third")
    assert read_texts(Dataset(dataset="x.txt", rows="1:2"), tmp_path).texts == ("second\rhalf",)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_last_newline_begins_no_text(tmp_path: Path, end: str) -> None:
    (tmp_path / "x.txt").write_bytes(f"one\ntwo{end}".encode())
    assert read_texts(Dataset(dataset="x.txt"), tmp_path).texts == ("one", "two")
    (tmp_path / "y.txt").write_bytes(end.encode())
    with pytest.raises(InputError, match=r"it has no rows|row 0 has no text"):
        read_texts(Dataset(dataset="y.txt"), tmp_path)


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    mark = b"\xef\xbb\xbf"
    (tmp_path / "x.txt").write_bytes(mark + b"one\ntwo\n")
    assert read_texts(Dataset(dataset="x.txt"), tmp_path).texts == ("one", "two")
    assert read_input("x.txt", tmp_path).text == "one\ntwo"
    assert read_input(PassageList(passages="x.txt"), tmp_path).passages == ("one", "two")
    (tmp_path / "x.json").write_bytes(mark + b'["one", "two"]')
    assert read_input(PassageList(passages="x.json"), tmp_path).passages == ("one", "two")
    (tmp_path / "x.tsv").write_bytes(mark + b"text\tstars\nfine\t3\n")
    assert read_input(TextRow(texts="x.tsv", row=0, column="text"), tmp_path).text == "fine"
    for name in ("x.csv", "x.tsv"):
        cut = b"," if name == "x.csv" else b"\t"
        (tmp_path / name).write_bytes(mark + b"text" + cut + b"who\nfine" + cut + b"me\n")
        assert read_texts(Dataset(dataset=name, column="text"), tmp_path).texts == ("fine",)


NUMBERS = {"whole": "63\n47\n", "decimal": "1.5\n-2e3\n", "with a gap": '63\n""\n', "padded": " 63\n 4 \n"}


@pytest.mark.parametrize("kind", NUMBERS)
@pytest.mark.parametrize("name", ["x.csv", "x.tsv"])
def test_a_column_of_numbers_is_no_column_of_texts(tmp_path: Path, name: str, kind: str) -> None:
    cut = "," if name == "x.csv" else "\t"
    lines = [f"{line}{cut}who" for line in NUMBERS[kind].splitlines()]
    (tmp_path / name).write_text("\n".join([f"age{cut}name", *lines]) + "\n")
    with pytest.raises(
        InputError, match=r"every entry of column 'age' is a number .* name the column of texts"
    ) as caught:
        read_texts(Dataset(dataset=name, column="age"), tmp_path)
    assert "\n" not in str(caught.value)
    assert read_texts(Dataset(dataset=name, column="name"), tmp_path).texts == ("who", "who")


def test_texts_with_numbers_among_them_are_texts(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("text\n63\nsixty-three\n1 2\n")
    assert read_texts(Dataset(dataset="x.csv", column="text"), tmp_path).texts == ("63", "sixty-three", "1 2")
    (tmp_path / "y.csv").write_text("text,n\nInfinity,1\nNan,1\n")
    assert read_texts(Dataset(dataset="y.csv", column="text"), tmp_path).texts == ("Infinity", "Nan")
    (tmp_path / "z.txt").write_text("63\n47\n")
    assert read_texts(Dataset(dataset="z.txt"), tmp_path).texts == ("63", "47")


def test_categories_of_texts_are_texts(tmp_path: Path) -> None:
    kept = pa.table(
        {"text": pa.array(["a b", "c", "a b"]).dictionary_encode(), "n": pa.array([1, 2, 1]).dictionary_encode()}
    )
    parquet.write_table(kept, tmp_path / "x.parquet")
    assert read_texts(Dataset(dataset="x.parquet", column="text"), tmp_path).texts == ("a b", "c", "a b")
    with pytest.raises(InputError, match="column 'n' holds int64, not texts; name the column of texts"):
        read_texts(Dataset(dataset="x.parquet", column="n"), tmp_path)


def test_names_of_columns_that_are_no_utf_8_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("texte,âge\nun,1\n".encode("latin-1"))
    (tmp_path / "y.csv").write_bytes("a,âge\n2,1\n".encode("latin-1"))
    readers = [
        lambda: read_texts(Dataset(dataset="x.csv", column="texte"), tmp_path),
        lambda: read_table(tmp_path / "y.csv"),
        lambda: read_dataset(Dataset(dataset="y.csv"), tmp_path),
    ]
    for read in readers:
        with pytest.raises(InputError, match="the names of its columns are no UTF-8; save it in this encoding"):
            read()
