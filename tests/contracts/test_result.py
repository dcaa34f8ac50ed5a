"""The forms of a result: JSON, Arrow, CSV, terminal, files."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from rich.console import Console

from xai_ray.errors import InputError, NotEnoughSamples, SpecError
from xai_ray.estimators.estimate import Estimate
from xai_ray.indices.question import Question
from xai_ray.reports.arrow import SCHEMA, arrow_bytes, to_arrow
from xai_ray.reports.result import Result
from xai_ray.reports.tables import result_tables, write_csv

N = 5
PAIRS = tuple(combinations(range(N), 2))


def make(k: int = 1, exact: bool = False, contexts: tuple[int, ...] = (0, 2, 3)) -> Result:
    rng = np.random.default_rng(3)
    ends = rng.normal(size=(2, k))

    def answer(question: Question, sets: tuple[tuple[int, ...], ...], *axes: int, dof: float = math.inf) -> Estimate:
        shape = (len(sets), *axes, k)
        errors = np.zeros(shape) if exact else rng.uniform(0.01, 0.1, size=shape)
        return Estimate(question, sets, rng.normal(size=shape), errors, "leverage", 400, dof)

    singles = tuple((i,) for i in range(N))
    first = answer(Question("SV", 1), singles, dof=19.0)
    first.values[:] += (ends[1] - ends[0] - first.values.sum(axis=0)) / N
    estimates = (
        first,
        answer(Question("STII", 2), singles + PAIRS),
        answer(Question("MOI", 2, contexts=contexts), PAIRS, len(contexts)),
    )
    players, outputs = tuple("abcde"), tuple(f"y{i}" for i in range(k))
    return Result("job", "d1", players, outputs, 400, estimates, ends)


def text_of(result: Result) -> str:
    console = Console(width=100, file=io.StringIO(), color_system=None)
    console.print(result_tables(result))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_document_has_the_published_shape() -> None:
    document = make().to_document()
    assert list(document) == ["job", "digest", "players", "outputs", "evaluations", "estimator", "estimates"]
    first, pairs, orders = document["estimates"]
    assert (first["index"], first["order"], len(first["values"])) == ("SV", 1, N)
    assert "coalitions" not in first
    assert "contexts" not in first
    assert pairs["coalitions"][:N] == [[i] for i in range(N)]
    assert pairs["coalitions"][N:] == [list(p) for p in PAIRS]
    assert orders["contexts"] == [0, 2, 3]
    assert np.shape(orders["values"]) == np.shape(orders["std_errors"]) == (len(PAIRS), 3)


@pytest.mark.parametrize("k", [1, 3])
def test_json_round_trips_every_bit(k: int) -> None:
    result = make(k)
    again = json.loads(json.dumps(result.to_document(), allow_nan=False))
    for estimate, read in zip(result.estimates, again["estimates"], strict=True):
        shape = estimate.values.shape if k > 1 else estimate.values.shape[:-1]
        assert np.shape(read["values"]) == shape
        assert np.array(read["values"]).tobytes() == estimate.values.tobytes()
        assert np.array(read["std_errors"]).tobytes() == estimate.std_errors.tobytes()


def test_missing_cells_are_null_and_the_others_stay_exact() -> None:
    result = make(2)
    cells = result.estimates[2]
    cells.values[4, 1, 0] = cells.std_errors[4, 1, 0] = np.nan
    read = json.loads(json.dumps(result.to_document(), allow_nan=False))["estimates"][2]
    assert read["values"][4][1] == [None, float(cells.values[4, 1, 1])]
    assert sum(v is None for block in read["values"] for row in block for v in row) == 1


def test_values_squeeze_one_output_only() -> None:
    assert make(1).values.shape == make(1).std_errors.shape == (N,)
    assert make(3).values.shape == (N, 3)


@pytest.mark.parametrize("k", [1, 3])
def test_arrow_rows_agree_with_the_estimates(k: int) -> None:
    result = make(k)
    result.estimates[1].values[7, 0] = result.estimates[1].std_errors[7, 0] = np.nan
    with pa.ipc.open_file(pa.BufferReader(arrow_bytes(result))) as reader:
        table = reader.read_all()
    assert table.schema.equals(SCHEMA)
    assert table.schema.metadata is not None
    assert {b"job", b"digest", b"format"} <= table.schema.metadata.keys()
    assert table.num_rows == k * (N + N + len(PAIRS) + 3 * len(PAIRS))
    for row in table.to_pylist():
        estimate = result.estimates[row["estimate"]]
        place: tuple[int, ...] = (estimate.coalitions.index(tuple(row["coalition"])),)
        if row["context"] is not None:
            place += ((0, 2, 3).index(row["context"]),)
        place += (result.outputs.index(row["output"]),)
        assert row["players"] == [result.players[i] for i in row["coalition"]]
        if np.isnan(estimate.values[place]):
            assert row["value"] is row["std_error"] is row["low"] is row["high"] is None
            continue
        low, high = estimate.intervals()
        assert (row["value"], row["std_error"]) == (estimate.values[place], estimate.std_errors[place])
        assert (row["low"], row["high"]) == (low[place], high[place])
    assert table["value"].null_count == 1


def test_csv_holds_the_same_rows() -> None:
    result = make(2)
    result.estimates[0].values[1, 1] = np.nan
    stream = io.StringIO()
    write_csv(result, stream)
    read = list(csv.DictReader(io.StringIO(stream.getvalue())))
    rows = to_arrow(result).to_pylist()
    assert len(read) == len(rows)
    for got, want in zip(read, rows, strict=True):
        assert got["value"] == ("" if want["value"] is None else repr(want["value"]))
        assert got["coalition"] == " ".join(map(str, want["coalition"]))
        assert got["context"] == ("" if want["context"] is None else str(want["context"]))
        assert got["output"] == want["output"]


def test_table_is_sorted_by_strength_and_adds_up() -> None:
    result = make()
    text = text_of(result)
    order = np.argsort(-np.abs(result.values))
    block = text.split("STII")[0]
    shown = [line.split()[0] for line in block.splitlines() if line.strip()[:2] in {f"{p} " for p in "abcde"}]
    assert shown == [result.players[i] for i in order]
    assert "12 of 30 shown" in text
    total = block.split("sum ")[1].split(";")[0]
    change = block.split("v(N) - v(∅) = ")[1].split(";")[0]
    assert float(total) == float(change)


def test_table_names_missing_cells_and_exact_answers() -> None:
    result = make(exact=True)
    assert "exact" in text_of(result)
    assert "missing" not in text_of(result)
    result.estimates[2].values[3, 0, 0] = np.nan
    assert "1 of 30 cells (set and context) missing" in text_of(result)


def test_numbers_stay_whole_on_a_narrow_terminal() -> None:
    good = make()
    players = tuple(f"a column with a very long name, number {i}" for i in range(N))
    result = Result("job", "d1", players, good.outputs, 400, good.estimates, good.ends)
    console = Console(width=80, file=io.StringIO(), color_system=None)
    console.print(result_tables(result))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    numbers = [line for line in lines if " .. " in line]
    assert len(numbers) == N + N + len(PAIRS) + 12
    assert all(
        len(line) <= 80 and re.search(r"[+-]\d\.\d+ +\d\.\d+ +[+-]?\d\.\d+ \.\. [+-]?\d\.\d+ *$", line)
        for line in numbers
    )


def test_ask_hands_the_question_to_the_stored_values() -> None:
    asked: list[tuple[Question, str]] = []
    pool = make()

    def asker(question: Question, estimator: str) -> Estimate:
        asked.append((question, estimator))
        return pool.estimates[1]

    result = Result("job", "d1", pool.players, pool.outputs, 400, pool.estimates[:1], pool.ends, asker=asker)
    answer = result.ask("STII", order=2, pairs=[(0, 1)])
    assert asked == [(Question("STII", 2, pairs=((0, 1),)), "auto")]
    assert answer.estimates == (pool.estimates[1],)
    assert answer.evaluations == 400
    with pytest.raises(NotEnoughSamples, match="STII"):
        pool.ask("STII")
    with pytest.raises(SpecError, match="name of an index and its parameters"):
        result.ask(Question("STII"))  # pyright: ignore[reportArgumentType]


def test_shapes_that_do_not_fit_are_refused() -> None:
    good = make()
    with pytest.raises(InputError, match="ends"):
        Result("job", "d1", good.players, good.outputs, 400, good.estimates, np.zeros((2, 2)))
    with pytest.raises(InputError, match="SV"):
        Result("job", "d1", good.players, ("y0", "y1"), 400, good.estimates, np.zeros((2, 2)))
    with pytest.raises(InputError, match="at least one"):
        Result("job", "d1", good.players, good.outputs, 400, (), good.ends)
