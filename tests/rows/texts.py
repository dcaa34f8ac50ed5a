"""Datasets of texts as tests have them: three texts in three files, a small language model, and a job of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from tests.cli.runs import Cli, written

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


def single(cli: Cli, folder: Path, at: int, **more: Any) -> dict[str, Any]:
    """The answer of a job of one of the texts by itself."""
    own = {"name": f"one{at}", **more}
    assert cli("run", spec(folder, {"text": TEXTS[at]}, **own), "--store", "single", "-q").code in (0, 4)
    job = next(
        row["job"] for row in cli("list", "--store", "single", "--json").json if row["job"].startswith(f"one{at}-")
    )
    return cli("result", job, "--store", "single", "--format", "json").json
