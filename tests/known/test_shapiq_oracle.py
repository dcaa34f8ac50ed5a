"""shapiq's exact computer as an independent oracle, for every index that both know."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from xai_ray.indices import INDICES, Question, exact

pytestmark = pytest.mark.skipif(importlib.util.find_spec("shapiq") is None, reason="shapiq is not installed")

N = 5
THEIR_NAME = {"CoMoebius": "Co-Moebius"}
SAME = [
    "SV",
    "BV",
    "SII",
    "BII",
    "CHII",
    "k-SII",
    "STII",
    "FSII",
    "FBII",
    "Moebius",
    "CoMoebius",
    "SGV",
    "BGV",
    "CHGV",
    "JointSV",
]
# Its Faith-Shap fit weighs the empty and the grand coalition by 1e8 instead of constraining them.
TOLERANCE = {"FSII": 1e-5}


def orders(tag: str) -> list[int]:
    if INDICES[tag].sets == "players":
        return [1]
    return [N] if tag in ("Moebius", "CoMoebius") else [1, 2, 3]


@pytest.mark.parametrize(("tag", "order"), [(tag, order) for tag in SAME for order in orders(tag)])
@pytest.mark.filterwarnings(
    "ignore:CHII is not defined for the empty set", "ignore:invalid value:RuntimeWarning:shapiq"
)
def test_equals_shapiq(tag: str, order: int) -> None:
    from shapiq import ExactComputer

    table = np.random.default_rng(11).normal(size=(2**N, 1)) + 1.5

    def game(coalitions: np.ndarray) -> np.ndarray:
        return table[np.asarray(coalitions, dtype=np.int64) @ (1 << np.arange(N)), 0]

    theirs = ExactComputer(game, N)(THEIR_NAME.get(tag, tag), order)
    answer = exact(table, Question(tag, order=order))
    # It puts v(empty) at the empty set, whatever the index; by definition the co-Moebius transform has v(N) there.
    ours = {S: x for S, x in zip(answer.coalitions, answer.values[:, 0], strict=True) if S}
    expected = [theirs[S] for S in ours]
    np.testing.assert_allclose(list(ours.values()), expected, rtol=0, atol=TOLERANCE.get(tag, 1e-9))
    if () in answer.coalitions:
        assert answer.values[0, 0] == pytest.approx(table[-1, 0] if tag == "CoMoebius" else table[0, 0])
