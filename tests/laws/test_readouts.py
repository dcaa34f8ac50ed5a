"""Every index that is a read-out: its weights on cell means give the exact answer, and its law of contexts gives its weights."""

from itertools import combinations, product

import numpy as np
import pytest

from tests.games import smooth_table
from xai_ray.coalitions.exhaustive import unpack
from xai_ray.errors import SpecError
from xai_ray.indices import INDICES, READ_OUT, Question, exact, readouts, resolve

N = 6
PARAMETERS = {
    "WBV": {"p": 0.3},
    "BETA": {"alpha": 4.0, "beta": 1.0},
    "SEMI": {"weights": (0.4, 0.3, 0.1, 0.1, 0.1, 0.0)},
}


def questions():
    for tag in READ_OUT:
        fixed = INDICES[tag].sets in ("players", "pairs")
        for order in (None,) if fixed else (1, 2, 3, N):
            yield Question(tag, order=order, **PARAMETERS.get(tag, {}))


def cell_means(table, players):
    """Mean of v by (pattern of the players, size), enumerated."""
    coalitions = unpack(np.arange(1 << N), N)
    sizes = coalitions.sum(axis=1)
    for pattern in product((False, True), repeat=len(players)):
        here = (coalitions[:, list(players)] == np.array(pattern, dtype=bool)).all(axis=1)
        for size in np.unique(sizes[here]):
            yield sum(pattern), size, table[here & (sizes == size)].mean(axis=0)


@pytest.mark.parametrize("question", list(questions()), ids=lambda q: f"{q.index}-{q.order}")
def test_read_outs_of_cell_means_are_the_index(question):
    table = smooth_table(N, outputs=2, seed=1)
    question = resolve(question, N)
    found = []
    for readout in readouts(question, N):
        cells = readout.cells
        assert readout.n_players == N
        for players in combinations(range(N), readout.size):
            terms = [cells[:, w, t][:, None] * mean for w, t, mean in cell_means(table, players)]
            found.append(np.sum(terms, axis=0))
    truth = exact(table, question).values
    found = np.array(found) if truth.ndim == 3 else np.array(found)[:, 0]
    np.testing.assert_allclose(found, truth, atol=1e-9)


@pytest.mark.parametrize("question", list(questions()), ids=lambda q: f"{q.index}-{q.order}")
def test_a_law_of_contexts_gives_the_weights(question):
    for readout in readouts(resolve(question, N), N):
        if readout.keep_rate is not None:
            law = readout.keep_rate.weights(N - readout.size)
            assert law.sum() == pytest.approx(1.0)
            np.testing.assert_allclose(readout.weights, readout.scale * law[None], atol=1e-12)


def test_lower_orders_of_k_sii_are_the_shapley_value_less_half_the_interactions():
    n = 49
    single = readouts(resolve(Question("k-SII", order=2), n), n)[0].weights[0]
    expected = np.full(n, 1 / n)
    expected[0] += 0.5
    expected[-1] -= 0.5
    np.testing.assert_allclose(single, expected, atol=1e-12)


@pytest.mark.parametrize("tag", ["Owen", "MVI", "JM", "AND"])
def test_other_indices_say_so(tag):
    with pytest.raises(SpecError, match="not a weighted mean of derivatives"):
        readouts(Question(tag), N)
