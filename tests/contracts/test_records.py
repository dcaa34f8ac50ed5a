"""Bytes of a record: the old format stays readable, damage never passes for data."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xai_ray.coalitions import Unit
from xai_ray.errors import CorruptRecord
from xai_ray.stores import Record
from xai_ray.stores.records import decode, encode
from xai_ray.testing.stores import JOB, a_record, same_record

V1 = (Path(__file__).parent / "assets" / "record-v1.arrow").read_bytes()
V1_UNIT = Unit(6, 9)
V1_BITS = [
    [0x7FF8000000000001, 0x8000000000000000],
    [0x3FF0000000000000, 0x7FF0000000000000],
    [0x0000000000000001, 0xC00921FB54442D18],
]


def test_format_version_1_loads_for_ever() -> None:
    record = decode(V1, JOB, V1_UNIT, "record-v1.arrow")
    assert record.values.view(np.uint64).tolist() == V1_BITS
    assert (record.unit, record.facts) == (V1_UNIT, {"seconds": 0.5, "worker": "w0"})


def test_format_version_1_is_plain_arrow() -> None:
    with pa.ipc.open_stream(V1) as reader:
        table = reader.read_all()
    assert table.schema.field("values").type == pa.list_(pa.float64(), 2)
    assert table.schema.metadata[b"format"] == b"1"
    assert table["values"].to_pylist()[1] == [1.0, float("inf")]


@given(
    values=arrays(np.uint64, st.tuples(st.integers(1, 6), st.integers(1, 4)), elements=st.integers(0, 2**64 - 1)),
    start=st.integers(0, 2**62),
    facts=st.dictionaries(st.text(max_size=4), st.none() | st.booleans() | st.integers() | st.text(max_size=4)),
)
def test_any_bits_survive(values: np.ndarray, start: int, facts: dict) -> None:
    record = Record(Unit(start, start + 1), values.view(np.float64), facts)
    assert same_record(decode(encode(JOB, record), JOB, record.unit, "bytes"), record)


def test_pandas_stays_out() -> None:
    """Importing it would cost every worker a third of a second."""
    code = """
import sys
from xai_ray.stores.records import decode, encode
from xai_ray.testing.stores import JOB, a_record
record = a_record(0, 4)
decode(encode(JOB, record), JOB, record.unit, "bytes")
print("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_the_same_record_gives_the_same_bytes() -> None:
    assert encode(JOB, a_record(0, 9)) == encode(JOB, a_record(0, 9))


def test_every_truncation_is_found() -> None:
    for length in range(len(V1)):
        with pytest.raises(
            CorruptRecord, match=rf"here.*unit \[6, 9\).*\({length} bytes\).*xai-ray resume .*--recompute"
        ):
            decode(V1[:length], JOB, V1_UNIT, "here")


@pytest.mark.parametrize("mask", [0x01, 0x80, 0xFF])
def test_a_flipped_byte_never_changes_what_is_read(mask: int) -> None:
    """Padding inside the Arrow headers carries nothing; a flip of any other byte is an error, in the values always."""
    whole = decode(V1, JOB, V1_UNIT, "whole")
    body = V1.index(np.array(V1_BITS, np.uint64).tobytes())
    harmless = set()
    for place in range(len(V1)):
        damaged = bytearray(V1)
        damaged[place] ^= mask
        try:
            assert same_record(decode(bytes(damaged), JOB, V1_UNIT, "damaged"), whole)
            harmless.add(place)
        except CorruptRecord:
            pass
    assert harmless.isdisjoint(range(body, body + 48))
    assert len(harmless) < len(V1) / 4


def test_a_changed_header_fails_the_checksum() -> None:
    damaged = V1.replace(b'"seconds":0.5', b'"seconds":0.7')
    assert damaged != V1
    with pytest.raises(CorruptRecord, match="checksum"):
        decode(damaged, JOB, V1_UNIT, "here")


def test_the_record_of_another_owner_is_refused() -> None:
    with pytest.raises(CorruptRecord, match=r"draws \[6, 9\)"):
        decode(V1, JOB, Unit(6, 10), "here")
    with pytest.raises(CorruptRecord, match=f"belongs to job '{JOB}'"):
        decode(V1, "dog-1", V1_UNIT, "here")


def test_a_later_format_version_is_refused() -> None:
    with pa.ipc.open_stream(V1) as reader:
        batch = reader.read_next_batch()
    later = batch.replace_schema_metadata({**batch.schema.metadata, b"format": b"2"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, later.schema) as writer:
        writer.write_batch(later)
    with pytest.raises(CorruptRecord, match="format version is '2', this release reads 1"):
        decode(sink.getvalue().to_pybytes(), JOB, V1_UNIT, "here")
