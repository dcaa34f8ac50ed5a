"""`result --ask` with pairs, groups and weights, and what the doors say of devices, stores and jobs that have ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xai_ray as xr
from tests.cli.runs import Cli, airport, glove, refused, written
from xai_ray.stores import ArrowFileStore


@pytest.fixture
def job(cli: Cli, tmp_path: Path) -> str:
    """A game of six players, all 64 coalitions evaluated."""
    assert cli("run", written(tmp_path, glove())).code == 0
    return cli("list", "--json").json[0]["job"]


@pytest.mark.parametrize(
    ("ask", "options", "parameters"),
    [
        ("SII", ("--pairs", "[[1, 0], [2, 5]]"), {"pairs": [(0, 1), (2, 5)]}),
        ("Owen", ("--groups", "[[0, 1], [2, 3], [4, 5]]"), {"groups": [(0, 1), (2, 3), (4, 5)]}),
        ("Owen", ("--groups", "[[[0, 1], [2]], [3, 4, 5]]"), {"groups": [((0, 1), (2,)), (3, 4, 5)]}),
        ("SEMI", ("--weights", "[0.5, 0, 0, 0, 0, 0.5]"), {"weights": [0.5, 0, 0, 0, 0, 0.5]}),
    ],
)
def test_what_is_asked_on_the_command_line_is_what_python_asks(
    cli: Cli, tmp_path: Path, job: str, ask: str, options: tuple[str, str], parameters: dict[str, Any]
) -> None:
    (found,) = cli("result", job, "--ask", ask, *options, "--format", "json").json["estimates"]
    wanted = xr.open_result(job, store=str(tmp_path / "runs")).ask(ask, **parameters).estimates[0]
    assert found["index"] == wanted.question.index
    assert np.array(found["values"]).ravel().tolist() == wanted.values.ravel().tolist()
    assert any(value != 0 for value in np.array(found["values"]).ravel())


def test_a_device_that_is_not_there_is_refused_before_the_first_evaluation(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XAI_RAY_ESTIMATOR_DEVICE", "cuda:77")
    refused(cli, 2, ["XAI_RAY_ESTIMATOR_DEVICE='cuda:77'", "there is: cpu"], "run", written(tmp_path, airport(9, 100)))
    assert not [name for _, _, files in os.walk(tmp_path) for name in files if name.endswith(".arrow")]


def test_what_a_store_says_against_itself_is_printed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ArrowFileStore, "warnings", lambda self: ["the disk is made of paper"])
    spec = written(tmp_path, glove())
    assert f"note: file://{tmp_path}/runs: the disk is made of paper\n" in cli("run", spec).err
    assert "paper" not in cli("run", spec, "--quiet").err
    assert "the disk is made of paper" in cli("submit", spec, "--store", "shared", "--store-only").err


def test_a_job_that_has_ended_is_not_stopped(cli: Cli, job: str) -> None:
    ended = cli("cancel", job)
    assert (ended.code, ended.err) == (0, f"{job} is done already; there is nothing to stop\n")
    assert cli("status", job, "--json").json["state"] == "done"
