"""Arnoldi influence against the dense inverse Hessian, all of it and its leading eigenvectors, and refusals."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.valuation.test_influence import HELD, PAIR, dense, loss, tiny
from xai_ray.errors import ModelOutputError, SpecError, XaiRayError
from xai_ray.valuation.arnoldi import arnoldi_influence

N = len(PAIR[0])
DAMPING = 0.1


@pytest.mark.parametrize("chunk", [7, 1024])
def test_it_is_the_inverse_hessian_on_its_leading_eigenvectors(chunk: int) -> None:
    model = tiny()
    G, H, slope = (part.numpy() for part in dense(model, PAIR, HELD))
    found = arnoldi_influence(model, loss, PAIR, HELD, damping=DAMPING, rank=5, tolerance=1e-12, chunk=chunk)
    values, vectors = np.linalg.eigh(H + DAMPING * np.eye(len(H)))
    np.testing.assert_allclose(found.facts["eigenvalues"], values[::-1][:5], rtol=1e-9)
    leading = vectors[:, ::-1][:, :5]
    expected = G @ leading @ ((leading.T @ slope) / values[::-1][:5]) / N
    np.testing.assert_allclose(found.values, expected, rtol=1e-7, atol=1e-13)
    assert found.facts["products"] >= 5


def test_all_directions_but_one_follow_the_exact_influence() -> None:
    model = tiny()
    G, H, slope = dense(model, PAIR, HELD)
    exact = (G @ torch.linalg.solve(H + DAMPING * torch.eye(len(H), dtype=torch.float64), slope) / N).numpy()
    gaps = []
    for rank in (1, 4, len(H) - 1):
        found = arnoldi_influence(model, loss, PAIR, HELD, damping=DAMPING, rank=rank)
        gaps.append(np.abs(found.values - exact).max() / np.abs(exact).max())
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 0.02


def test_single_precision_and_its_seed() -> None:
    model = tiny()
    wide = arnoldi_influence(model, loss, PAIR, HELD, damping=DAMPING, rank=5, tolerance=1e-6)
    settings = {"damping": DAMPING, "rank": 5, "tolerance": 1e-4}
    narrow = model.float()
    found = arnoldi_influence(narrow, loss, PAIR, HELD, **settings)
    np.testing.assert_allclose(found.values, wide.values, atol=1e-3 * np.abs(wide.values).max())
    again = arnoldi_influence(narrow, loss, PAIR, HELD, **settings)
    assert np.array_equal(again.values, found.values)
    other = arnoldi_influence(narrow, loss, PAIR, HELD, **settings, seed=7)
    assert not np.array_equal(other.values, found.values)
    np.testing.assert_allclose(other.values, found.values, atol=1e-3 * np.abs(wide.values).max())


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"damping": -1.0}, SpecError, "damping is a number of at least 0"),
        ({"tolerance": 0.0}, SpecError, "tolerance is a number above 0"),
        ({"rank": 0}, SpecError, "rank is a whole number"),
        ({"steps": 0}, SpecError, "steps is a whole number"),
        ({"rank": 500}, SpecError, "rank 500 is not below the 22 parameters"),
        ({"rank": 2, "seed": -1}, SpecError, "seed is a whole number"),
        ({"rank": 2, "chunk": 0}, SpecError, "chunk is a whole number, at least 1; got 0"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(changes: dict, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        arnoldi_influence(tiny(), loss, PAIR, HELD, **({"damping": DAMPING} | changes))


def test_losses_without_curvature_are_refused() -> None:
    def straight(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs[:, 0] * (2.0 * targets - 1.0)

    with pytest.raises(XaiRayError, match=r"no positive curvature|Arnoldi iteration failed"):
        arnoldi_influence(nn.Linear(3, 2).double(), straight, PAIR, HELD, damping=0.0, rank=2)
    with pytest.raises(ModelOutputError, match="one number a sample"):
        arnoldi_influence(tiny(), nn.CrossEntropyLoss(), PAIR, HELD, damping=DAMPING, rank=2)


def test_an_iteration_that_does_not_converge_says_so() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 40), nn.Tanh(), nn.Linear(40, 2)).double()
    with pytest.raises(XaiRayError, match=r"of 30 eigenvectors .* converged in 1 restarts"):
        arnoldi_influence(model, loss, PAIR, HELD, damping=DAMPING, rank=30, steps=1, tolerance=1e-14)
