"""What training games say of their memory: beside measured peaks, cut to bounds, refused where nothing fits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

import xai_ray as xr
from xai_ray.errors import SpecError
from xai_ray.valuation import TrainingGame
from xai_ray.valuation.gram import WeightedGram
from xai_ray.valuation.memory import Need, free_memory, memory_bytes, planned_batch, size_text

R = np.random.default_rng(2)
N = 40
X, TEST = R.normal(size=(N, 3)), R.normal(size=(25, 3))
Y, TRUTH = (X[:, 0] > 0).astype(int), (TEST[:, 0] > 0).astype(int)
NEED = Need((("data", 100), ("kernel matrix", 900)), 50, 64, "take fewer points")


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="no peaks of memory are told here")
def test_what_is_stated_is_what_is_taken() -> None:
    # Freed arrays go back at once, so that one game's peak is not another's.
    settings = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    program = Path(__file__).parents[2] / "benchmarks" / "valuation_memory.py"
    done = subprocess.run(
        [sys.executable, str(program)], check=False, env={**os.environ, **settings}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for name, found in json.loads(done.stdout).items():
        assert found["peak"] <= found["stated"] <= 2.5 * found["peak"], (name, found)
        assert found["models"] == (8 if name == "cut by a bound" else found["models"]), name


def test_a_batch_is_halved_until_it_fits() -> None:
    assert [planned_batch(NEED, bound, lambda: None) for bound in (None, 10_000, 4200, 4199, 1050)] == [
        64,
        64,
        64,
        32,
        1,
    ]
    with pytest.raises(
        SpecError,
        match=r"1\.05 kB a worker: data 100 B, kernel matrix 900 B, 1 model at once .*cut from 64.*1\.05 kB.*take fewer",
    ):
        planned_batch(NEED, 1049, lambda: None)


def test_the_machine_refuses_but_does_not_choose() -> None:
    assert planned_batch(NEED, None, lambda: 4200) == 64
    with pytest.raises(
        SpecError, match=r"4\.2 kB a worker.*4\.19 kB are free here.*bound .* of 2\.6 kB, which cuts the batch to 32"
    ):
        planned_batch(NEED, None, lambda: 4190)
    with pytest.raises(SpecError, match="take fewer points"):
        planned_batch(NEED, None, lambda: 1000)


@pytest.mark.parametrize(
    ("given", "size"),
    [(5, 5), ("8 GB", 8 * 10**9), ("1.5gib", 3 << 29), ("512 MiB", 512 << 20), ("100", 100), ("2k", 2000)],
)
def test_amounts(given: Any, size: int) -> None:
    assert memory_bytes(given, "memory") == size


@pytest.mark.parametrize("given", ["8 GiBs", "lots", "", 0, -3, True, "0 GB", "1 ib"])
def test_what_is_no_amount(given: Any) -> None:
    with pytest.raises(SpecError, match=r"^compute\.memory = .*amount of memory"):
        memory_bytes(given, "compute.memory")


def test_sizes_in_words() -> None:
    assert [size_text(s) for s in (5, 1500, 3.2e9, 8e13, 5e15)] == ["5 B", "1.5 kB", "3.2 GB", "80 TB", "5,000 TB"]
    assert (free_memory() or 1) > 0


def told(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("limit", "used", "cached"),
    [
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ],
    ids=["version 2", "version 1"],
)
def test_cached_files_of_a_container_are_free(tmp_path: Path, limit: str, used: str, cached: str) -> None:
    groups = tmp_path / "sys" / "fs" / "cgroup"
    assert free_memory(tmp_path) is None
    told(tmp_path / "proc" / "meminfo", "MemTotal: 9000 kB\nMemAvailable: 4000 kB")
    assert free_memory(tmp_path) == 4000 * 1024
    told(groups / limit, 1_000_000)
    told(groups / used, 900_000)
    assert free_memory(tmp_path) == 100_000
    stat = (groups / limit).with_name("memory.stat")
    told(stat, f"anon 100\n{cached} 600000\nactive_file 5")
    assert free_memory(tmp_path) == 700_000
    told(stat, f"{cached} lots")
    assert free_memory(tmp_path) == 100_000
    told(groups / limit, "max")
    assert free_memory(tmp_path) == 4000 * 1024


@pytest.mark.parametrize("method", ["data_oob", "class_wise", "knn"])
def test_methods_that_cannot_keep_to_a_bound_say_so(method: str) -> None:
    with pytest.raises(SpecError, match=rf"'{method}' cannot keep to a bound .*compute\.memory.*truncated, .*loo or"):
        xr.value(KNeighborsClassifier(3), X, Y, TEST, TRUTH, method=method, memory="8 GB")


@pytest.mark.parametrize("method", ["loo", "truncated", "distributional", "one_pass_banzhaf"])
def test_methods_that_keep_to_a_bound(method: str) -> None:
    with pytest.raises(SpecError, match="the bound is 100 B"):
        xr.value(RidgeClassifier(), X, Y, TEST, TRUTH, method=method, memory=100)


def test_a_kernel_matrix_that_does_not_fit_is_refused_before_it_is_made() -> None:
    n = 200_000
    with pytest.raises(SpecError, match=r"kernel matrix 320 GB.*groups.*subset"):
        TrainingGame(KernelRidge(kernel="rbf"), np.zeros((n, 2)), np.zeros(n), TEST[:, :2], TEST[:, 0], scores=("r2",))


GAMES = {
    "logistic": (LogisticRegression(), Y, TRUTH, "neg_log_loss"),
    "softmax": (LogisticRegression(), np.arange(N) % 3, np.arange(25) % 3, "neg_log_loss"),
    "ridge": (RidgeClassifier(), Y, TRUTH, "accuracy"),
    "regression": (Ridge(), X[:, 0], TEST[:, 0], "r2"),
    "kernel": (KernelRidge(kernel="rbf"), X[:, 0], TEST[:, 0], "r2"),
    "neighbours": (KNeighborsClassifier(3), Y, TRUTH, "accuracy"),
}


@pytest.mark.parametrize("name", GAMES)
def test_a_smaller_batch_gives_the_same_values(name: str) -> None:
    estimator, y, truth, score = GAMES[name]
    whole = TrainingGame(estimator, X, y, TEST, truth, scores=(score,))
    bound = whole.need.total(2)
    cut = TrainingGame(estimator, X, y, TEST, truth, scores=(score,), memory=bound)
    assert cut.block == 2 < whole.block
    assert cut.digest == whole.digest
    rows = R.random((20, N)) < 0.5
    context = np.zeros(len(rows), dtype=np.int64)
    np.testing.assert_allclose(cut.values(rows, context), whole.values(rows, context), atol=1e-9)
    orders = R.permutation(N)[None]
    np.testing.assert_allclose(
        cut.chain_values(orders, context[:1]), whole.chain_values(orders, context[:1]), atol=1e-9
    )


def test_a_job_of_another_batch_is_another_job() -> None:
    memory = TrainingGame(LogisticRegression(), X, Y, TEST, TRUTH, scores=("accuracy",)).need.total(4)
    jobs = [
        xr.value(LogisticRegression(), X, Y, TEST, TRUTH, budget=240, memory=bound).job
        for bound in (None, memory, memory + 1)
    ]
    assert jobs[0] != jobs[1] == jobs[2]


def test_gram_matrices_without_the_table_of_products(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = R.random((5, N))
    table = WeightedGram(X)(weights)
    monkeypatch.setattr("xai_ray.valuation.gram.LARGEST_TABLE", 0)
    np.testing.assert_allclose(WeightedGram(X)(weights), table, atol=1e-12)
    np.testing.assert_allclose(WeightedGram(X)(weights[:, :7]), WeightedGram(X[:7])(weights[:, :7]), atol=1e-12)


def test_python_says_what_is_no_amount() -> None:
    with pytest.raises(SpecError, match=r"memory = 'much' is no amount of memory; write '8 GB'"):
        xr.value(RidgeClassifier(), X, Y, TEST, TRUTH, memory="much")
