"""Means over fillings on the device: against a plain formula, and the same bits however many coalitions are reduced together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp

import xai_ray as xr
from tests.rows.models import table
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.games import LossGame, Marginal, RowsGame
from xai_ray.games.passes.reducing import mean_over_fillings

COALITIONS = 64


def outputs(classes: int, size: int, spread: float) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(classes).normal(size=(COALITIONS, size, classes)) * spread)


@pytest.mark.parametrize("spread", [2.0, 900.0])  # the larger has probabilities that no float64 holds
@pytest.mark.parametrize("classes", [2, 3, 5, 10, 16, 17, 64, 130, 1000])
def test_log_mean_probabilities_are_those_of_a_plain_formula(classes: int, spread: float) -> None:
    given = outputs(classes, 7, spread)
    want = logsumexp(log_softmax(given.numpy(), axis=2), axis=1) - np.log(7)
    found = mean_over_fillings(given, "logits", "probabilities")
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("gap", [1.0, 600.0, 669.0, 671.0, 698.0, 705.0, 708.5, 709.5, 725.0, 745.0, 800.0, 5000.0])
def test_two_classes_keep_their_digits_however_far_apart(gap: float) -> None:
    sizes = np.array(
        [[gap, gap + 8, gap + 40], [-gap, -gap - 8, -gap - 40], [gap, 5000.0, 5000.0], [-gap, 5000.0, 0.5]]
    )
    given = torch.from_numpy(np.stack([np.zeros_like(sizes), sizes], axis=2))
    want = logsumexp(log_softmax(given.numpy(), axis=2), axis=1) - np.log(3)
    found = mean_over_fillings(given, "logits", "probabilities")
    np.testing.assert_allclose(found.numpy(), want, rtol=1e-15, atol=2e-15)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_what_is_no_number_stays_so_beside_others(classes: int, wrong: float) -> None:
    given = outputs(classes, 5, 1.0)
    given[3, 2, 1] = wrong
    found = mean_over_fillings(given, "logits", "probabilities")
    assert found[3].isnan().all()
    assert found[torch.arange(COALITIONS) != 3].isfinite().all()


@pytest.mark.parametrize("size", [3, 12])
@pytest.mark.parametrize("classes", [2, 3, 5, 10, 130])
@pytest.mark.parametrize(
    ("convention", "averaged", "spread"),
    [
        ("logits", "probabilities", 2.0),
        ("logits", "probabilities", 900.0),
        ("logits", "outputs", 2.0),
        ("probabilities", "probabilities", 2.0),
    ],
)
def test_bits_do_not_depend_on_how_many_are_reduced_together(convention, averaged, spread, classes, size) -> None:
    given = outputs(classes, size, spread)
    alone = torch.cat([mean_over_fillings(one[None], convention, averaged) for one in given])
    for c in range(1, COALITIONS + 1):
        assert torch.equal(mean_over_fillings(given[:c], convention, averaged), alone[:c]), c


def test_minus_infinity_is_a_probability_of_zero() -> None:
    given = outputs(3, 4, 2000.0)
    given[:, :, 1] = -torch.inf
    found = mean_over_fillings(given, "logits", "probabilities")
    assert torch.isneginf(found[:, 1]).all()
    two = mean_over_fillings(given[:, :, [0, 2]], "logits", "probabilities")
    # The logarithm of a probability of 1 is its rounding.
    np.testing.assert_allclose(found[:, [0, 2]].numpy(), two.numpy(), rtol=1e-12, atol=1e-15)


class Steep(torch.nn.Module):
    """Classes whose logits do not depend on how many rows come together."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.slopes = torch.nn.Parameter(outputs(classes, 4, 1.0)[0, :4].double())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return sum(x[:, at, None].double() * self.slopes[at] for at in range(4))  # pyright: ignore[reportReturnType]


EVERY = np.concatenate([unpack(np.arange(16), 4)] * 4)
SAME = np.full(len(EVERY), -1)


@pytest.mark.parametrize("classes", [2, 5, 10, 130])
def test_games_have_the_same_bits_in_passes_of_any_size(classes: int) -> None:
    X, background, labels = table(5, 4, 1), table(7, 4, 2), np.arange(5) % classes

    def loss(batch: int) -> LossGame:
        return LossGame(Steep(classes), X, labels, removal=Marginal(background), loss="cross_entropy", batch=batch)

    def rows(batch: int) -> RowsGame:
        return RowsGame(
            Steep(classes), X, players=xr.Columns(), removal=Marginal(background), behaviour=xr.LogOdds(1), batch=batch
        )

    at = np.arange(len(EVERY)) % 5
    one, single = loss(7).values(EVERY, SAME), rows(7).row_values(at, EVERY, SAME)
    for pairs in (2, 3, 5, 17, 40):
        np.testing.assert_array_equal(loss(7 * pairs).values(EVERY, SAME), one)
        np.testing.assert_array_equal(rows(7 * pairs).row_values(at, EVERY, SAME), single)
