"""Strength per order over pairs and over inputs."""

import numpy as np
import pytest

from tests.games import smooth_table
from tests.laws.sampled import coverage, estimate
from xai_ray.errors import SpecError
from xai_ray.estimators.strength import mean_strength
from xai_ray.indices import Question, exact, normalised_strength


def test_root_mean_square_strength_covers_and_is_not_biased_by_noise():
    table, question = smooth_table(9, seed=4), Question("J2", contexts=(0, 2, 4, 7))
    covered, _ = coverage(table, question, "strength", 250, 100)
    assert 0.92 <= covered <= 0.98, covered
    truth = exact(table, question).values[0, 1:3, 0]
    squares = np.mean([estimate(table, question, "strength", 150, s).values[0, 1:3, 0] ** 2 for s in range(60)], axis=0)
    plain = np.mean(
        [
            (estimate(table, Question("MOI", contexts=(2, 4)), "cells", 150, s).values ** 2).mean(axis=0)[:, 0]
            for s in range(60)
        ],
        axis=0,
    )
    np.testing.assert_array_less(np.abs(squares - truth**2), 0.35 * np.abs(plain - truth**2))


def test_the_error_of_the_plug_in_counts_its_bias():
    table, question = smooth_table(9, seed=4), Question("J", contexts=(2, 4))
    truth = exact(table, question).values
    found = [estimate(table, question, "strength", 150, seed) for seed in range(60)]
    assert np.mean([e.values - truth for e in found]) > 0
    inside = [(low <= truth) & (truth <= high) for low, high in (e.intervals() for e in found)]
    assert np.mean(inside) >= 0.92


def test_strength_over_inputs_is_normalised_after_averaging():
    answers = [estimate(smooth_table(7, seed=s), Question("J"), "strength", 1 << 7, 0) for s in range(5)]
    over = mean_strength(answers)
    each = np.array([answer.values[0] for answer in answers])
    np.testing.assert_allclose(over.values, each.mean(axis=0))
    np.testing.assert_allclose(over.std_errors, each.std(axis=0, ddof=1) / np.sqrt(5), atol=1e-12)
    np.testing.assert_allclose(over.normalised, normalised_strength(each.mean(axis=0)))
    np.testing.assert_allclose(over.normalised.mean(axis=0), 1.0)
    assert over.contexts == tuple(range(6))
    assert over.inputs == 5
    assert np.isnan(mean_strength(answers[:1]).std_errors).all()
    squared = [estimate(smooth_table(7, seed=s), Question("J2"), "strength", 1 << 7, 0) for s in range(5)]
    np.testing.assert_allclose(
        mean_strength(squared).values, np.sqrt(np.mean([a.values[0] ** 2 for a in squared], axis=0)), atol=1e-12
    )


def test_strength_over_inputs_wants_one_question():
    one = estimate(smooth_table(6), Question("J", contexts=(0, 1)), "strength", 1 << 6, 0)
    other = estimate(smooth_table(6), Question("J", contexts=(0, 2)), "strength", 1 << 6, 0)
    with pytest.raises(SpecError, match="input 1 answers J at contexts"):
        mean_strength([one, other])
    with pytest.raises(SpecError, match="answers to J or J2"):
        mean_strength([])
