"""Multi-order interactions of models too large to enumerate: one pool of coalitions beside a long run of the paired protocol.

The reference takes random pairs and the asked context sizes. Its even and odd rounds give two independent unbiased estimates a and b of
every I^(m)(i,j), so the mean of (estimate - a)(estimate - b) is an unbiased squared error, that of a * b an unbiased mean square of the
truth, and that of (a - b)^2 the variance of one context, without any noise to subtract by hand.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xai_ray.build import game_of, neighbours
from xai_ray.coalitions import Design, Draw, PairedContexts, Stars, Unit
from xai_ray.engine.worker import evaluate
from xai_ray.errors import XaiRayError
from xai_ray.estimators import Ask, Pool, plan
from xai_ray.estimators.quadratic_fit import fit_folds
from xai_ray.estimators.sized import FOLDS
from xai_ray.games import Game
from xai_ray.indices import Question
from xai_ray.spec import parse

REPOSITORY = Path(__file__).parent.parent
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Context sizes as fractions of n - 2: those of Deng et al. (ICLR 2022)."""
CHUNK = 480
"""Evaluations between two writes of the cache."""

_CAT = {
    "kind": "model",
    "model": {"factory": "xai_ray.zoo:efficientnet_lite0"},
    "input": "skimage:chelsea",
    "removal": {"kind": "blur", "sigma": 10.0},
    "behaviour": {"kind": "log_odds", "target": "predicted"},
}
GAMES: dict[str, dict[str, Any]] = {
    "cat49": _CAT | {"players": {"kind": "patches", "grid": [7, 7]}},
    "cat196": _CAT | {"players": {"kind": "patches", "grid": [14, 14]}},
    "review": {
        "kind": "model",
        "model": {"factory": "xai_ray.zoo:minilm_sentiment"},
        "input": {"texts": "data/reviews.tsv", "row": 320, "column": "text"},
        "players": {"kind": "tokens"},
        "removal": {"kind": "mask_token"},
        "behaviour": {"kind": "logit", "target": 1},
    },
}
"""Games by name, as in a spec."""


def load_game(name: str) -> Game:
    """The game, through the doors of a job."""
    ask, budget = [{"index": "MOI"}], {"evaluations": 1000}
    return game_of(parse({"name": name, "game": GAMES[name], "ask": ask, "budget": budget}), REPOSITORY / "jobs")


def cached_values(cache: Path, game: Game, design: Design, draws: int, label: str) -> Any:
    """Values of the first draws of a design, shape (rows, k); kept in `cache` and taken up where an earlier run ended."""
    identity = json.dumps([game.digest, design.describe()], sort_keys=True)
    path = cache / f"{label}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}.npz"
    cache.mkdir(parents=True, exist_ok=True)
    done, values = 0, np.zeros((0, game.n_outputs))
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            done, values = int(stored["draws"]), stored["values"]
    began, first = time.perf_counter(), len(values)
    while done < draws:
        stop = min(draws, max(done + 1, design.affordable(design.evaluations(done) + CHUNK)))
        values = np.concatenate([values, evaluate(Unit(done, stop), game, design).values])
        done = stop
        partial = path.with_suffix(".part.npz")
        np.savez_compressed(partial, draws=done, values=values)
        partial.rename(path)
        rate = (len(values) - first) / (time.perf_counter() - began)
        print(f"{label}: {len(values):,} of {design.evaluations(draws):,} evaluations, {rate:.1f}/s", flush=True)
    return values[: design.evaluations(draws)]


@dataclass(frozen=True)
class Reference:
    """Two independent estimates of I^(m)(i,j); p pairs, m context sizes."""

    pairs: tuple[tuple[int, int], ...]
    local: Any
    """Shape (p,): whether the pair was drawn among neighbours rather than among all pairs."""
    contexts: tuple[int, ...]
    halves: Any
    """Shape (2, p, m)."""
    per_half: Any
    """Shape (m,): contexts behind each half; a size with one context has the same number in both."""

    def variance(self, rows: Any) -> Any:
        """Shape (m,): mean variance of one second difference over its contexts, by context size, over some pairs."""
        gap = ((self.halves[0] - self.halves[1])[rows] ** 2).mean(axis=0)
        return gap * self.per_half / 2


def reference(cache: Path, name: str, game: Game, contexts: Sequence[int], pairs: int, evaluations: int) -> Reference:
    """Half of the pairs among neighbours, half among all pairs; as many rounds as the evaluations pay for."""
    n, rng = game.n_players, np.random.default_rng(0)
    upper = np.stack(np.triu_indices(n, 1), axis=1)
    near = np.array(neighbours(game.view))  # pyright: ignore[reportAttributeAccessIssue]
    chosen_near = near[rng.permutation(len(near))[: pairs // 2]]
    chosen_any = upper[rng.permutation(len(upper))]
    taken = {tuple(p) for p in chosen_near.tolist()}
    chosen_any = np.array([p for p in chosen_any.tolist() if tuple(p) not in taken][: pairs - len(chosen_near)])
    both = sorted([(i, j, True) for i, j in chosen_near.tolist()] + [(i, j, False) for i, j in chosen_any.tolist()])
    given = tuple((i, j) for i, j, _ in both)
    design = PairedContexts(n, 20_000, tuple(contexts), given)
    inner = sum(0 < m < n - 2 for m in contexts)
    first_round = design.first_rows + 4 * pairs * len(contexts)
    rounds = max(2, 1 + (evaluations - first_round) // (4 * pairs * inner)) // 2 * 2
    draws = design.affordable(first_round + (rounds - 1) * 4 * pairs * inner)
    values = cached_values(cache, game, design, draws, f"{name}-reference")[:, 0]
    found, draw = design.differences(0, draws), design.draw(0, draws)
    v = values[found.rows]
    delta = (v[:, 3] - v[:, 2]) - (v[:, 1] - v[:, 0])
    column = np.searchsorted(contexts, found.context)
    half = draw.index[found.draw] % 2
    single = np.isin(found.context, [0, n - 2])
    sums, counts = np.zeros((2, len(given), len(contexts))), np.zeros((2, len(given), len(contexts)))
    for h in (0, 1):
        use = single | (half == h)
        np.add.at(sums[h], (found.pair[use], column[use]), delta[use])
        np.add.at(counts[h], (found.pair[use], column[use]), 1)
    return Reference(given, np.array([near for *_, near in both]), tuple(contexts), sums / counts, counts[0, 0])


def measure(
    name: str, ours: Sequence[str], cache: Path, budget: int, pairs: int, evaluations: int, fractions: Sequence[float]
) -> dict[str, Any]:
    """Everything that is printed of one game."""
    game = load_game(name)
    n = game.n_players
    contexts = tuple(sorted({round(f * (n - 2)) for f in fractions}))
    ref = reference(cache, name, game, contexts, pairs, evaluations)
    planned = plan([Ask(Question("MOI", contexts=contexts), "cells")], n, budget, 0)
    values = cached_values(cache, game, planned.design, planned.draws, f"{name}-pool")
    pool = Pool(planned.design, planned.draws, values)
    draw = planned.design.draw(0, planned.draws)
    near = neighbours(game.view)  # pyright: ignore[reportAttributeAccessIssue]
    scopes = {"all": (~ref.local, n * (n - 1) // 2, None), "local": (ref.local, len(near), near)}
    sigma = within_size_deviation(draw, values[:, 0])
    inner = np.array([0 < m < n - 2 for m in contexts])
    sigma_delta = float(np.sqrt(ref.variance(slice(None))[inner].mean()))
    out: dict[str, Any] = {
        "game": name,
        "players": n,
        "contexts": list(contexts),
        "evaluations": planned.evaluations,
        "reference": {"pairs": len(ref.pairs), "contexts a pair and size": int(2 * ref.per_half[inner][0])},
        "log10 sigma_delta/sigma": round(float(np.log10(sigma_delta / sigma)), 2),
        "quadratic R2": round(held_out_r2(draw.coalitions, values), 3),
        "scopes": {},
    }
    estimates = {one: estimated(pool, one, contexts, ref.pairs) for one in ours}
    for scope, (rows, count, given) in scopes.items():
        out["scopes"][scope] = scored(ref, rows, count, given, estimates, planned.evaluations, n)
    return out


def estimated(pool: Pool, estimator: str, contexts: tuple[int, ...], pairs: tuple[tuple[int, int], ...]) -> Any:
    """Shape (p, m) and the seconds, or the words of an error."""
    began = time.perf_counter()
    try:
        found = pool.answer(Question("MOI", contexts=contexts, pairs=pairs), estimator)
    except XaiRayError as problem:
        return str(problem)
    return found.values[..., 0], time.perf_counter() - began


def scored(
    ref: Reference, rows: Any, count: int, given: Any, estimates: dict[str, Any], budget: int, n: int
) -> dict[str, Any]:
    """Normalised squared errors over some pairs of the reference; the error of answering zero is 1.

    `paired` and `star` are computed from the measured variance of one context and the contexts that `budget` evaluations pay for. Where
    these are fewer than one a pair and size, `error` counts what was not seen as zero, and `at this rate` is that variance
    over the fraction of a context: what the protocol's error would be at its larger cost, scaled to the budget.
    """
    a, b = ref.halves[:, rows]
    power = float((a * b).sum(axis=1).mean())
    inner = np.array([0 < m < n - 2 for m in ref.contexts])
    variance = float(ref.variance(rows)[inner].sum())
    design = Stars(n, 0, ref.contexts, given)
    draws = min(600, design.affordable(design.first_rows + design.round_cost()))
    per_star = (design.evaluations(draws) - design.first_rows) / len(design.differences(0, draws).pair)
    cells = count * len(ref.contexts)
    out: dict[str, Any] = {
        "pairs": count,
        "mean square of the truth": power / len(ref.contexts),
        "by size": {"truth": _by_size((a * b).mean(axis=0))},
        "paired": protocol(variance / power, budget / (4 * cells)) | {"evaluations a difference": 4.0},
        "star": protocol(variance / power, budget / (per_star * cells)) | {"evaluations a difference": per_star},
    }
    for name, found in estimates.items():
        if isinstance(found, str):
            out[name] = {"problem": found}
            continue
        e = found[0][rows]
        product = (e - a) * (e - b)
        error = float(product.sum(axis=1).mean()) / power
        noise = float(product.sum(axis=1).std(ddof=1) / np.sqrt(len(product))) / power
        out["by size"][name] = _by_size(product.mean(axis=0))
        out[name] = {
            "error": error,
            "its standard error": noise,
            "paired / this": out["paired"]["error"] / error if error > 2 * noise else None,
            "at least": out["paired"]["error"] / (max(error, 0.0) + 2 * noise),
            "seconds": round(found[1], 2),
        }
    return out


def protocol(variance: float, contexts: float) -> dict[str, float]:
    """Error of `contexts` contexts a pair and size, from the normalised variance of one."""
    seen = min(1.0, contexts)
    error = variance / contexts if contexts >= 1 else seen * variance + 1.0 - seen
    return {"contexts": contexts, "error": error, "at this rate": variance / contexts}


def _by_size(column: Any) -> list[float]:
    """Mean square by context size, to three digits."""
    return [float(f"{x:.3g}") for x in column]


def within_size_deviation(draw: Draw, values: Any) -> float:
    """Standard deviation of v over the coalitions of one size, pooled over sizes."""
    sizes = draw.coalitions.sum(axis=1)
    squares, spare = 0.0, 0
    for s in np.unique(sizes):
        here = values[sizes == s]
        squares += float(((here - here.mean()) ** 2).sum())
        spare += len(here) - 1
    return float(np.sqrt(squares / max(spare, 1)))


def held_out_r2(coalitions: Any, values: Any) -> float:
    """Share of the variance of held-out rows (every fifth pair; rows 2t and 2t + 1 are one) that the quadratic surrogate explains."""
    fold = np.arange(len(coalitions) // 2) % FOLDS
    first, *_ = fit_folds(coalitions[0::2], values[0::2], values[1::2], fold)
    held_out = np.repeat(fold == 0, 2)
    predicted = first.predict(coalitions[held_out])
    rest = values[held_out] - predicted
    return 1.0 - float((rest**2).sum() / ((values[held_out] - values[held_out].mean(axis=0)) ** 2).sum())
