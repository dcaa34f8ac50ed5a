"""A job of texts on a real cluster, killed in the middle: texts in flight on one pool, and the same bytes at the end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

import xai_ray as xr
from tests.cli.conftest import cli as cli
from tests.cli.runs import Cli, written
from tests.cluster.running import Head
from tests.waiting import until

pytest.importorskip("transformers", reason="the extra `text` is not installed")
pytestmark = pytest.mark.ray

MODEL = """
import os
import time

from xai_ray.zoo import random_language_model


class Gate:
    # Holds the worker at texts with a Z.
    def __init__(self, folder, token):
        self.folder, self.token = folder, token

    def __call__(self, module, given, named):
        ids = named["input_ids"] if "input_ids" in named else given[0]
        while (ids == self.token).any() and not os.path.exists(os.path.join(self.folder, "gate")):
            time.sleep(0.02)


def make(folder):
    made = random_language_model(layers=1, width=16, heads=2)
    made.model.register_forward_pre_hook(Gate(folder, made.tokenizer("Z")["input_ids"][0]), with_kwargs=True)
    return made
"""
TEXTS = ["It is so.", "Never.", "Is it not so?", "Z is the last one.", "Z or not Z, say it.", "Zero."]


def texts_spec(folder: Path) -> Path:
    """Six texts; the model waits for a file at those from the fourth on."""
    folder.mkdir()
    (folder / "gated_texts.py").write_text(MODEL)
    (folder / "texts.txt").write_text("\n".join(TEXTS))
    game = {
        "kind": "model",
        "model": {"factory": "gated_texts:make", "arguments": {"folder": str(folder)}},
        "input": {"dataset": "texts.txt"},
        "players": {"kind": "words"},
        "removal": {"kind": "drop"},
        "behaviour": {"kind": "answer_log_probability", "answers": [" yes"]},
    }
    return written(folder, {"name": "texts", "game": game, "ask": [{"index": "SV"}], "budget": {"evaluations": 28}})


def test_killed_on_the_cluster_resumed_and_extended(cli: Cli, door: Head, tmp_path: Path) -> None:
    spec, store = texts_spec(tmp_path / "code"), f"file://{tmp_path}/shared"
    where = ("--address", door.address, "--store", store)
    ended = cli("submit", spec, *where, "--actors", 2)
    assert ended.code == 0, ended.err
    job = ended.text.strip()
    handle = xr.Client(door.address, store).job(job)
    until(lambda: handle.status()["units"] == 3, "the texts before the gate", seen=handle.logs)
    assert handle.status()["texts"] == "3 of 6"
    partial = cli("result", job, "--store", store, "--partial", "--format", "arrow")
    assert partial.code == 0, partial.err
    some = pa.ipc.open_file(partial.out).read_all()
    assert some["row"].to_pylist() == [0, 1, 2]
    pid = next(e["pid"] for e in handle.store.events(job) if e["event"] == "started")
    os.kill(pid, signal.SIGKILL)
    until(lambda: handle.status()["state"] == "lost", "the loss to be seen")
    (tmp_path / "code" / "gate").touch()
    assert cli("resume", job, *where).code == 0
    ended = cli("watch", job, *where, "--every", 0.3, "--out", "out")
    assert ended.code == 0, ended.err
    assert "6 / 6 texts, done" in ended.text
    assert cli("run", spec, "--store", "home", "--out", "home-out", "-q").code == 0
    table = Path("home-out/result.arrow").read_bytes()
    assert Path("out/result.arrow").read_bytes() == table
    assert pa.ipc.open_file(table).read_all().slice(0, 3).equals(some)
    assert cli("replay", job, "--unit", 4, "--store", store).json["same_bits"] is True
    assert "finished already" in cli("submit", spec, *where).err
    assert cli("extend", job, "--evaluations", 60, *where).code == 0
    assert cli("watch", job, *where, "--every", 0.3, "--out", "more").code == 0
    assert cli("extend", job, "--evaluations", 60, "--store", "home", "--out", "home-more", "-q").code == 0
    assert Path("more/result.arrow").read_bytes() == Path("home-more/result.arrow").read_bytes()
    nodes = [record.facts["pid"] for record in handle.store.records(job, sorted(handle.store.committed(job)))]
    assert len(nodes) == 12
    # Three attempts of two actors at most: no attempt starts another worker for another text.
    assert len(set(nodes)) <= 6
    handle.cancel()
    assert handle.status()["state"] == "done"
