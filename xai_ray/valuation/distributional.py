"""Distributional Shapley values: what a point adds to a random data set of random size, drawn from a pool.

Ghorbani, Kim and Zou, "A distributional framework for data valuation" (ICML 2020), definition 3 and algorithm 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xai_ray.errors import InputError, NotEnoughSamples, SpecError
from xai_ray.types import Floats, Ints, Mask
from xai_ray.valuation.draws import Purpose, orders, positive, uniforms
from xai_ray.valuation.result import Valuation
from xai_ray.valuation.running_means import RunningMeans
from xai_ray.valuation.training_game import TrainingGame
from xai_ray.valuation.whole_blocks import values_in_blocks

DRAWS = 16
"""Orders walked at a time. Fixed, so that means are cut at the same places on every machine."""


def distributional_shapley(
    game: TrainingGame,
    *,
    cardinality: int,
    draws: int,
    pool: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Valuation:
    """E[v(S + z) - v(S)] for each of n players z, values (n, k): S has j players of the pool other than z, all such sets equally
    likely, and j is uniform on 0..m - 1 for m = `cardinality`.

    The pool stands for the distribution, and sets are drawn from it without replacement, so that with m = n the values are
    the Shapley values of the game, and with m < n their means over data sets of m points that hold z. `pool` (n,) says which
    players sets are drawn from, all unless given; players outside it (new points) are valued against it all the same.

    A draw is an order of m players of the pool, all of whose prefixes are scored as one chain: one contribution for each of
    them, and, with players outside, one model for each of those at a prefix of random length. Standard errors are those of
    independent draws. `facts`: `counts` (n,), the contributions of each player, and `evaluations`.

    Raises SpecError for a setting out of range, InputError for an unusable pool, NotEnoughSamples naming a player with fewer than
    two contributions, and what the game raises.
    """
    n = game.n_players
    inside = _pool(pool, n)
    members, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    if positive("cardinality", cardinality) > len(members):
        raise SpecError(f"cardinality {cardinality} is above the {len(members)} players of the pool")
    positive("draws", draws, least=2)
    means = RunningMeans(n * game.n_outputs)
    for start in range(0, draws, DRAWS):
        numbers = np.arange(start, min(start + DRAWS, draws), dtype=np.int64)
        samples, present = contributions(game, inside, cardinality, numbers, seed)
        means.add(samples.reshape(len(numbers), -1), np.repeat(present, game.n_outputs, axis=1))
    few = means.counts[:: game.n_outputs]
    if few.min() < 2:
        raise NotEnoughSamples(
            f"player {int(few.argmin())} took part in {int(few.min())} of {draws} draws ({int((few < 2).sum())} players in fewer "
            f"than two); ask for about {int(np.ceil(20 * len(members) / cardinality))} draws or more"
        )
    shape = (n, game.n_outputs)
    facts = {
        "cardinality": cardinality,
        "draws": draws,
        "counts": few.copy(),
        "evaluations": draws * (cardinality + len(others)),
    }
    method = "distributional Shapley: score added to a random data set of the pool"
    return Valuation(means.means().reshape(shape), means.std_errors().reshape(shape), method, facts)


def _pool(given: npt.ArrayLike | None, n: int) -> Mask:
    if given is None:
        return np.ones(n, dtype=np.bool_)
    inside = np.asarray(given)
    if inside.shape != (n,) or inside.dtype != np.bool_:
        raise InputError(
            f"pool has shape {inside.shape} of {inside.dtype}; it says True or False for each of the {n} players"
        )
    return inside


def contributions(game: TrainingGame, inside: Mask, cardinality: int, numbers: Ints, seed: int) -> tuple[Floats, Mask]:
    """What each player adds in the draws `numbers` (p,), shape (p, n, k), and whether it takes part, (p, n); `inside` (n,) is the pool."""
    members, others = np.flatnonzero(inside), np.flatnonzero(~inside)
    order = members[orders(seed, Purpose.ORDERS, numbers, len(members))[:, :cardinality]]
    chains = game.chain_values(order, np.zeros(len(order), dtype=np.int64))
    samples, present = _of_members(chains, order, game.n_players)
    if len(others):
        lengths = (uniforms(seed, Purpose.SIZES, numbers, 1)[:, 0] * cardinality).astype(np.int64)
        samples[:, others] = _of_newcomers(game, order, lengths, others, chains)
        present[:, others] = True
    return samples, present


def _of_members(chains: Floats, order: Ints, n: int) -> tuple[Floats, Mask]:
    """What each player of each order (p, m) adds, (p, n, k), 0 for those not in it; and who is in it, (p, n)."""
    samples = np.zeros((len(order), n, chains.shape[2]))
    np.put_along_axis(samples, order[:, :, None], np.diff(chains, axis=1), axis=1)
    present = np.zeros(samples.shape[:2], dtype=np.bool_)
    np.put_along_axis(present, order, True, axis=1)
    return samples, present


def _of_newcomers(game: TrainingGame, order: Ints, lengths: Ints, others: Ints, chains: Floats) -> Floats:
    """v(S + z) - v(S) for the prefix S of this length of each order and each z of `others` (o,), shape (p, o, k); `chains` holds v(S)."""
    p, o = len(order), len(others)
    sets = np.zeros((p, game.n_players), dtype=np.bool_)
    np.put_along_axis(sets, order, np.arange(order.shape[1]) < lengths[:, None], axis=1)
    rows = np.repeat(sets[:, None], o, axis=1)
    rows[:, np.arange(o), others] = True
    found = values_in_blocks(game, rows.reshape(p * o, -1)).reshape(p, o, -1)
    return found - chains[np.arange(p), lengths][:, None]
