"""Every index straight from its definition, by loops over sets: slow, independent of `xai_ray.indices`, for tests only.

A game is a table of shape (2^n, k). Sets are frozensets. Sums are written as the papers write them; permutations, least
squares and partitions are enumerated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, combinations, pairwise, permutations
from math import comb, factorial

import numpy as np
from scipy.integrate import quad
from scipy.special import bernoulli

from xai_ray.indices import Question

Set = frozenset


class Game:
    def __init__(self, table: np.ndarray) -> None:
        self.table = table
        self.n = int(np.log2(len(table)))
        self.players = Set(range(self.n))

    def __call__(self, coalition) -> np.ndarray:
        return self.table[sum(2**i for i in coalition)]

    def derivative(self, block, context) -> np.ndarray:
        block = Set(block)
        assert not block & Set(context)
        return sum((-1) ** (len(block) - len(part)) * self(part | Set(context)) for part in subsets(block))


def subsets(players) -> Iterator[Set]:
    players = sorted(players)
    return (Set(s) for s in chain.from_iterable(combinations(players, r) for r in range(len(players) + 1)))


def of_size(players, size: int) -> list[Set]:
    return [Set(s) for s in combinations(sorted(players), size)]


def sets_up_to(n: int, order: int, first: int = 1) -> list[tuple[int, ...]]:
    return [s for size in range(first, order + 1) for s in combinations(range(n), size)]


def phi_m(game: Game, i: int, m: int) -> np.ndarray:
    return np.mean([game(T | {i}) - game(T) for T in of_size(game.players - {i}, m)], axis=0)


def moi(game: Game, i: int, j: int, m: int) -> np.ndarray:
    return np.mean([game.derivative({i, j}, T) for T in of_size(game.players - {i, j}, m)], axis=0)


def shapley(game: Game, i: int) -> np.ndarray:
    """Mean over permutations of the marginal contribution to the predecessors."""
    gains = []
    for order in permutations(range(game.n)):
        before = Set(order[: order.index(i)])
        gains.append(game(before | {i}) - game(before))
    return np.mean(gains, axis=0)


def probabilistic(game: Game, i: int, probability: Callable[[int], float]) -> np.ndarray:
    """Sum over single sets T of probability(t) times the marginal contribution."""
    return sum(probability(len(T)) * (game(T | {i}) - game(T)) for T in subsets(game.players - {i}))


def beta_probability(n: int, alpha: float, beta: float) -> Callable[[int], float]:
    """Kwon and Zou: the keep-rate q has density q^(beta-1) (1-q)^(alpha-1), normalised numerically."""

    def density(q: float) -> float:
        return q ** (beta - 1) * (1 - q) ** (alpha - 1)

    total = quad(density, 0, 1, epsabs=1e-13)[0]
    return lambda t: quad(lambda q: density(q) * q**t * (1 - q) ** (n - 1 - t), 0, 1, epsabs=1e-13)[0] / total


def weighted_derivatives(game: Game, S, weight: Callable[[int, int], float]) -> np.ndarray:
    return sum(weight(len(S), len(T)) * game.derivative(S, T) for T in subsets(game.players - Set(S)))


def sii(game: Game, S) -> np.ndarray:
    """Mean over permutations in which S stands together, of the derivative at its predecessors."""
    S, found = Set(S), []
    for order in permutations(range(game.n)):
        places = sorted(order.index(i) for i in S)
        if places[-1] - places[0] == len(S) - 1:
            found.append(game.derivative(S, order[: places[0]]))
    return np.mean(found, axis=0)


def k_sii(game: Game, S, order: int) -> np.ndarray:
    numbers = bernoulli(order)  # B_1 = -1/2
    rest = game.players - Set(S)
    return sum(numbers[len(T)] * sii(game, Set(S) | T) for T in subsets(rest) if len(T) <= order - len(S))


def stii(game: Game, S, order: int) -> np.ndarray:
    """Below the order the derivative at the empty set; at the order its mean over what precedes all of S."""
    S = Set(S)
    if len(S) < order:
        return game.derivative(S, ())
    found = []
    for arrival in permutations(range(game.n)):
        first = min(arrival.index(i) for i in S)
        found.append(game.derivative(S, arrival[:first]))
    return np.mean(found, axis=0)


def faithful(game: Game, order: int, shapley_kernel: bool) -> dict[tuple[int, ...], np.ndarray]:
    """Weighted least squares of v by sums over subsets; the Shapley kernel with its constraints at empty and N."""
    n = game.n
    sets = sets_up_to(n, order, 0)
    coalitions = list(subsets(game.players))
    design = np.array([[float(Set(s) <= T) for s in sets] for T in coalitions])
    values = np.array([game(T) for T in coalitions])
    if not shapley_kernel:
        fit = np.linalg.lstsq(design, values, rcond=None)[0]
        return dict(zip(sets, fit, strict=True))
    inner = np.array([0 < len(T) < n for T in coalitions])
    kernel = np.array([(n - 1) / (comb(n, len(T)) * len(T) * (n - len(T))) for T in coalitions if 0 < len(T) < n])
    A, b = design[inner], values[inner]
    ends, end_values = design[~inner], values[~inner]
    # Lagrange conditions of the constrained fit.
    gram = A.T @ (kernel[:, None] * A) if len(A) else np.zeros((len(sets), len(sets)))
    right = A.T @ (kernel[:, None] * b) if len(A) else np.zeros((len(sets), values.shape[1]))
    system = np.block([[gram, ends.T], [ends, np.zeros((2, 2))]])
    fit = np.linalg.lstsq(system, np.concatenate([right, end_values]), rcond=None)[0][: len(sets)]
    return dict(zip(sets, fit, strict=True))


def chaining(game: Game, S) -> np.ndarray:
    """Mean over maximal chains of the derivative of S at M - S, M the first coalition of the chain that contains S."""
    S, found = Set(S), []
    for order in permutations(range(game.n)):
        last = max(order.index(i) for i in S)
        found.append(game.derivative(S, Set(order[: last + 1]) - S))
    return np.mean(found, axis=0)


def chaining_value(game: Game, S) -> np.ndarray:
    S, found = Set(S), []
    for order in permutations(range(game.n)):
        first = Set(order[: max(order.index(i) for i in S) + 1])
        found.append(game(first) - game(first - S))
    return np.mean(found, axis=0)


def merged_shapley(game: Game, C, absent) -> np.ndarray:
    """Shapley value of the block C in the game whose players are C as one and everybody outside `absent` and C."""
    C = Set(C)
    outside = sorted(game.players - C - Set(absent))
    gains = []
    for order in permutations([*outside, "block"]):
        before = Set(order[: order.index("block")])
        gains.append(game(before | C) - game(before))
    return np.mean(gains, axis=0)


def joint(game: Game, order: int) -> dict[tuple[int, ...], np.ndarray]:
    """Walk from empty to N in blocks of at most `order` players, all equally likely; expected gain of each block."""
    out = {s: np.zeros(game.table.shape[1]) for s in sets_up_to(game.n, order)}
    reach = {Set(): 1.0}
    for T in subsets(game.players):  # ascending in size
        blocks = [S for S in subsets(game.players - T) if 1 <= len(S) <= order]
        for S in blocks:
            share = reach[T] / len(blocks)
            reach[T | S] = reach.get(T | S, 0.0) + share
            out[tuple(sorted(S))] += share * (game(T | S) - game(T))
    return out


def owen(game: Game, groups) -> np.ndarray:
    """Mean over the permutations in which every group stands together."""
    total, count = np.zeros((game.n, game.table.shape[1])), 0
    for order in permutations(range(game.n)):
        places = [sorted(order.index(i) for i in group) for group in groups]
        if any(p[-1] - p[0] != len(p) - 1 for p in places):
            continue
        count += 1
        for at, i in enumerate(order):
            total[i] += game(order[: at + 1]) - game(order[:at])
    return total / count


def contiguous_partitions(members) -> Iterator[list[tuple[int, ...]]]:
    for bits in range(2 ** (len(members) - 1)):
        cuts = [0, *(c + 1 for c in range(len(members) - 1) if bits >> c & 1), len(members)]
        yield [tuple(members[a:b]) for a, b in pairwise(cuts)]


def partition_scores(game: Game, members) -> np.ndarray:
    def score(runs):
        return sum(merged_shapley(game, C, Set(members) - Set(C)) for C in runs)

    singles = score([(i,) for i in members])
    return np.array([score(runs) - singles for runs in contiguous_partitions(members)])


def multivariate(game: Game, A) -> np.ndarray:
    """Sum over subsets C of A of at least two players, of the expected derivative of C outside A (its second form)."""
    outside, r = game.players - Set(A), game.n - len(A)
    return sum(
        factorial(len(S)) * factorial(r - len(S)) / factorial(r + 1) * game.derivative(C, S)
        for C in subsets(A)
        if len(C) >= 2
        for S in subsets(outside)
    )


def or_interaction(game: Game, S) -> np.ndarray:
    if not S:
        return game(()) / 2
    return -sum((-1) ** (len(S) - len(L)) * game(game.players - L) / 2 for L in subsets(S))


def _players(function) -> Callable:
    return lambda game, q: {(i,): function(game, q, i) for i in range(game.n)}


def _of_order(function) -> Callable:
    return lambda game, q: {s: function(game, s) for s in combinations(range(game.n), q.order)}


def _up_to(function, first: int = 1) -> Callable:
    return lambda game, q: {s: function(game, s, q.order) for s in sets_up_to(game.n, q.order, first)}


def _all(function) -> Callable:
    return lambda game, q: {s: function(game, s) for s in sets_up_to(game.n, q.order, 0)}


def _fit(shapley_kernel: bool) -> Callable:
    def answer(game, q):
        return {s: e for s, e in faithful(game, q.order, shapley_kernel).items() if s}

    return answer


def _profile_of_pairs(game, q):
    pairs = q.pairs or tuple(combinations(range(game.n), 2))
    return {(i, j): np.array([moi(game, i, j, m) for m in q.contexts]) for i, j in pairs}


def _group(function) -> Callable:
    return lambda game, q: {tuple(sorted(q.groups[0])): function(game, q.groups[0])}


BRUTE_FORCE: dict[str, Callable[[Game, Question], dict[tuple[int, ...], np.ndarray]]] = {
    "SV": _players(lambda g, q, i: shapley(g, i)),
    "BV": _players(lambda g, q, i: probabilistic(g, i, lambda t: 0.5 ** (g.n - 1))),
    "WBV": _players(lambda g, q, i: probabilistic(g, i, lambda t: q.p**t * (1 - q.p) ** (g.n - 1 - t))),
    "BETA": _players(lambda g, q, i: probabilistic(g, i, beta_probability(g.n, q.alpha, q.beta))),
    "SEMI": _players(lambda g, q, i: probabilistic(g, i, lambda t: q.weights[t] / comb(g.n - 1, t))),
    "PHIM": _players(lambda g, q, i: np.array([phi_m(g, i, m) for m in q.contexts])),
    "MOI": _profile_of_pairs,
    "J": lambda g, q: {(): np.mean([np.abs(x) for x in _profile_of_pairs(g, q).values()], axis=0)},
    "J2": lambda g, q: {(): np.sqrt(np.mean([x**2 for x in _profile_of_pairs(g, q).values()], axis=0))},
    "SII": _of_order(sii),
    "k-SII": _up_to(k_sii),
    "STII": _up_to(stii),
    "FSII": _fit(shapley_kernel=True),
    "BII": _of_order(lambda g, S: weighted_derivatives(g, S, lambda s, t: 0.5 ** (g.n - s))),
    "FBII": _fit(shapley_kernel=False),
    "CHII": _of_order(chaining),
    "Moebius": _all(lambda g, S: g.derivative(S, ())),
    "CoMoebius": _all(lambda g, S: g.derivative(S, g.players - Set(S))),
    "Fourier": _all(lambda g, S: np.mean([(-1) ** len(T & Set(S)) * g(T) for T in subsets(g.players)], axis=0)),
    "AND": _all(lambda g, S: g.derivative(S, ()) / 2),
    "OR": _all(or_interaction),
    "MVI": _group(multivariate),
    "BMAX": _group(lambda g, A: partition_scores(g, A).max(axis=0)),
    "BMIN": _group(lambda g, A: partition_scores(g, A).min(axis=0)),
    "SGV": _of_order(lambda g, S: merged_shapley(g, S, ())),
    "BGV": _of_order(lambda g, S: np.mean([g(T | Set(S)) - g(T) for T in subsets(g.players - Set(S))], axis=0)),
    "CHGV": _of_order(chaining_value),
    "JointSV": lambda g, q: joint(g, q.order),
    "Owen": lambda g, q: {(i,): x for i, x in enumerate(owen(g, q.groups))},
}
"""Tag -> the answer to a resolved question, as a dict from sets to values."""
