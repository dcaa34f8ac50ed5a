"""A dataset of texts by command: each text a job with its own words, one table, resumed, and bad texts named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tests.cli.conftest import cli
from tests.cli.runs import Cli, written

pytest.importorskip("transformers", reason="the extra `text` is not installed")

__all__ = ["cli"]

TEXTS = ("Is it so?", 'It says "no",\nand means it.', "Never.")


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    quoted = [text.replace('"', '""') for text in TEXTS]
    lines = ["who,text", *(f'n{i},"{text}"' for i, text in enumerate(quoted))]
    (tmp_path / "texts.csv").write_text("\n".join(lines) + "\n")
    parquet.write_table(pa.table({"text": TEXTS, "stars": [1, 2, 3]}), tmp_path / "texts.parquet")
    (tmp_path / "texts.txt").write_text("\n".join(text.replace("\n", " ") for text in TEXTS) + "\n")
    return tmp_path


def spec(folder: Path, source: dict[str, Any], **more: Any) -> Path:
    game = {
        "kind": "model",
        "model": {
            "factory": "xai_ray.zoo:random_language_model",
            "arguments": {"layers": 1, "width": 16, "heads": 2},
        },
        "input": source,
        "players": {"kind": "words"},
        "removal": {"kind": "drop"},
        "behaviour": {"kind": "answer_log_probability", "answers": [" yes"]},
    }
    document = {"name": "texts", "game": game, "ask": [{"index": "SV"}], "budget": {"evaluations": 40}}
    return written(folder, document | more)


def test_every_text_with_its_own_words(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text", "id": "who"})
    facts = cli("check", source, "--json").json
    assert facts["texts"] == "3, a job each; the plan of the first:"
    assert facts["evaluations"] == 8
    ended = cli("run", source, "--store", "runs", "--out", "out")
    assert ended.code == 0, ended.err
    lines = ended.text.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["n0", "n1", "n2"]
    table = pa.ipc.open_file(Path("out/result.arrow").read_bytes()).read_all()
    assert table["id"].to_pylist() == ["n0", "n1", "n2"]
    assert table["players"].to_pylist() == [text.split() for text in TEXTS]
    assert table["evaluations"].to_pylist() == [8, 40, 2]
    for row in table.to_pylist():
        assert sum(row["values"]) == pytest.approx(row["full_value"] - row["base_value"], abs=1e-8)
    jobs = [row["job"] for row in cli("list", "--store", "runs", "--json").json]
    assert [job.rsplit("-", 1)[0] for job in jobs] == ["texts-000000", "texts-000001", "texts-000002"]
    one = cli("result", jobs[1], "--store", "runs", "--format", "json").json
    assert one["estimates"][0]["values"] == table["values"][1].as_py()
    again = cli("run", source, "--store", "runs", "--out", "again", "-q")
    assert again.code == 0
    assert Path("again/result.arrow").read_bytes() == Path("out/result.arrow").read_bytes()
    assert len(cli("list", "--store", "runs", "--json").json) == 3


@pytest.mark.parametrize("name", ["texts.parquet", "texts.txt"])
def test_some_rows_of_other_files(cli: Cli, folder: Path, name: str) -> None:
    column = {} if name.endswith("txt") else {"column": "text"}
    ended = cli("run", spec(folder, {"dataset": name, "rows": "2:3", **column}), "--store", "memory://")
    assert ended.code == 0, ended.err
    assert ended.text.startswith("2  texts-000002-")
    assert "1 players  2 evaluations  Never." in ended.text


def bad(folder: Path, kind: str) -> dict[str, Any]:
    source = {"dataset": "x.csv", "column": "text"}
    match kind:
        case "empty text":
            (folder / "x.csv").write_text('text\nyes\n"  "\n')
        case "no such column":
            return {"dataset": "texts.csv", "column": "review"}
        case "not texts":
            return {"dataset": "texts.parquet", "column": "stars"}
        case "too long":
            (folder / "x.csv").write_text("text\nyes\n" + "word " * 2000 + "\n")
        case "ragged":
            (folder / "x.csv").write_text("text,who\nyes\n")
        case "nothing":
            (folder / "x.csv").write_text("text\n")
        case "outside":
            return {"dataset": "texts.csv", "column": "text", "rows": "1:9"}
        case _:
            return {"dataset": "nowhere.csv", "column": "text"}
    return source


BAD = {
    "empty text": "row 1 has no text in column 'text'; fill it in, or leave the row out",
    "no such column": "no one column 'review'; columns: who, text",
    "not texts": "column 'stars' holds int64, not texts",
    "too long": "row 1: ",
    "ragged": "cannot read the table",
    "nothing": "it has no rows",
    "outside": 'rows = "1:9" lies outside of its 3 rows',
    "nowhere": "no table at",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_texts_are_named(cli: Cli, folder: Path, kind: str) -> None:
    ended = cli("run", spec(folder, bad(folder, kind)), "--store", "memory://", "-q")
    assert ended.code == 2, ended.err
    assert BAD[kind] in ended.err
    assert "Traceback" not in ended.err
    if kind == "too long":
        assert "tokens, the model takes" in ended.err


def test_texts_that_are_not_precise_enough(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text"}, budget={"evaluations": 40, "std_error": 1e-12})
    ended = cli("run", source, "--store", "memory://", "--out", "out", "-q")
    assert ended.code == 4
    assert "1 of 3 texts are less precise than asked" in ended.err
    assert Path("out/result.arrow").exists()


def test_a_cluster_takes_a_job_a_text(cli: Cli, folder: Path) -> None:
    source = spec(folder, {"dataset": "texts.csv", "column": "text"})
    ended = cli("submit", source, "--store-only", "--store", "runs")
    assert (ended.code, ended.out) == (2, b"")
    assert "each is a job of its own" in ended.err
