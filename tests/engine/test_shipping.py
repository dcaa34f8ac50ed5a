"""What travels to workers: training data lie in memory once a node, other arrays are each worker's own."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

from tests.engine.engine_games import SumOfProducts
from xai_ray.coalitions import Exhaustive
from xai_ray.engine.shipping import shipped, unshipped
from xai_ray.stores.protocol import Record, Segment
from xai_ray.types import Coalitions, Floats, Ints, Values
from xai_ray.valuation import TrainingGame

ray = pytest.importorskip("ray")
from ray.cloudpickle.cloudpickle import dumps  # noqa: E402

from xai_ray.engine.ray_engine import RayEngine  # noqa: E402

DESIGN = Exhaustive(7)


def frozen(size: int) -> Floats:
    out = np.arange(float(size))
    out.setflags(write=False)
    return out


@dataclass(frozen=True)
class Placed(SumOfProducts):
    """Its values say where its arrays lie in the process that evaluates it."""

    n_outputs: int = 1
    kept: Floats = field(default_factory=lambda: frozen(1 << 17))
    own: Floats = field(default_factory=lambda: np.zeros(1 << 17))
    small: Floats = field(default_factory=lambda: frozen(10))

    def values(self, coalitions: Coalitions, context: Ints) -> Values:
        self.own[0] += 1.0
        assert self.kept[-1] == len(self.kept) - 1
        where = [_in_store(self.kept), _in_store(self.own), _in_store(self.small)]
        code = sum(2**i for i, there in enumerate(where) if there)
        return np.full((len(coalitions), 1), code + 8.0 * os.getpid())


def _in_store(array: Floats) -> bool:
    """Whether an array lies in memory that Ray's processes map together."""
    at = array.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= at < last:
            return "plasma" in line or "/dev/shm" in line or "memfd" in line
    return False


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    # A token in the environment keeps Ray from writing one into the home directory.
    os.environ.setdefault("RAY_AUTH_TOKEN", "a" * 64)
    ray.shutdown()
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=40)
    yield
    ray.shutdown()


def test_read_only_arrays_are_left_out_of_the_pickle() -> None:
    main, shared = shipped(Placed(), DESIGN, pickle.dumps)
    assert [array.nbytes for array in shared] == [8 << 17]
    assert len(main) < (8 << 17) + 10_000
    assert np.shares_memory(shared[0], unshipped((main, shared))[0].kept)  # pyright: ignore[reportAttributeAccessIssue]
    game, _ = unshipped((main, shared))
    own: Any = game
    own.own[0] = 5.0
    assert not own.kept.flags.writeable


@pytest.mark.ray
@pytest.mark.usefixtures("cluster")
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="memory maps are read from /proc")
def test_workers_of_a_node_read_one_copy() -> None:
    found: list[Record] = []
    RayEngine(actors=2).run(Placed(), DESIGN, list(Segment(0, 128, 8).units()), found.append, lambda: False)
    codes = np.concatenate([record.values[:, 0] for record in found]).astype(np.int64)
    assert set((codes % 8).tolist()) == {1}


R = np.random.default_rng(1)
N = 1_500
X, TEST = R.normal(size=(N, 12)), R.normal(size=(900, 12))
Y, TRUTH = np.arange(N) % 2, np.arange(900) % 2


@pytest.mark.parametrize(
    ("estimator", "classes", "score"),
    [
        (LogisticRegression(), 2, "accuracy"),
        (LogisticRegression(), 3, "accuracy"),
        (Ridge(random_state=0), 0, "r2"),
        (KernelRidge(kernel="rbf"), 0, "r2"),
        (KNeighborsClassifier(3), 2, "accuracy"),
    ],
    ids=["logistic", "softmax", "ridge", "kernel", "neighbours"],
)
def test_little_of_a_training_game_is_copied_to_every_worker(estimator: Any, classes: int, score: str) -> None:
    y, truth = (np.arange(N) % classes, np.arange(900) % classes) if classes else (X[:, 0], TEST[:, 0])
    game = TrainingGame(estimator, X, y, TEST, truth, scores=(score,))
    main, shared = shipped(game, DESIGN, dumps)
    assert sum(array.nbytes for array in shared) >= X.nbytes
    # Labels, their one-hot form and names of points remain.
    assert len(main) < 80 * N + 40_000 + TEST.nbytes
    rows = R.random((game.block, N)) < 0.5
    again = unshipped((main, [np.array(array) for array in shared]))[0]
    context = np.zeros(len(rows), dtype=np.int64)
    np.testing.assert_array_equal(again.values(rows, context), game.values(rows, context))
