"""The peers: estimators of shapiq, shap and captum, each called as (game, budget, seed) -> values, one a player or one a pair.

Each gets the budget in the way its own interface counts it, with the settings its documentation recommends. shapiq is imported
here, shap and captum where they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from itertools import combinations
from typing import Any

import numpy as np
import shapiq.approximator
from stored_games import Floats, StoredGame

Peer = Callable[[StoredGame, int, int], Floats]

LARGEST_FRONTIER = 1500
"""Terms of PolySHAP's regression: beyond, its dense solve takes minutes."""


class _Shapiq:
    """shapiq's approximators; one that the installed release lacks is an ImportError when it is used."""

    def __getattr__(self, name: str) -> Any:
        if not hasattr(shapiq.approximator, name):
            raise ImportError(f"shapiq {shapiq.__version__} has no {name}")
        return getattr(shapiq.approximator, name)


sq = _Shapiq()


def _shapiq(make: Callable[[int, int], Any], order: int) -> Peer:
    """A shapiq approximator from `make(n, seed)`, read at the sets of size `order`."""

    def run(game: StoredGame, budget: int, seed: int) -> Floats:
        found = make(game.n, seed).approximate(budget, game)
        return np.array([found[members] for members in combinations(range(game.n), order)])

    return run


def _lightgbm(seed: int) -> Any:
    """The model that shapiq builds by itself, on one thread: its own takes every core, whatever OMP_NUM_THREADS says."""
    return import_module("lightgbm").LGBMRegressor(verbose=-1, random_state=seed, n_jobs=1)


def _polyshap(game: StoredGame, budget: int, seed: int) -> Floats:
    """Up to three-way terms, paired, at most a third as many terms as evaluations."""
    terms = max(game.n + 1, min(budget // 3, LARGEST_FRONTIER))
    method = sq.PolySHAP(game.n, max_order=3, max_terms=terms, pairing_trick=True, random_state=seed)
    found = method.approximate(budget, game)
    return np.array([found[(i,)] for i in range(game.n)])


def _ends(game: StoredGame) -> tuple[Floats, Floats]:
    """The explained row of ones and the background of zeros, so that a masked row is a coalition."""
    return np.ones((1, game.n)), np.zeros((1, game.n))


def _shap_permutation(game: StoredGame, budget: int, seed: int) -> Floats:
    shap: Any = import_module("shap")

    row, background = _ends(game)
    masker = shap.maskers.Independent(background)
    return shap.explainers.Permutation(game, masker, seed=seed)(row, max_evals=budget, silent=True).values[0]


def _shap_kernel(game: StoredGame, budget: int, seed: int) -> Floats:
    shap: Any = import_module("shap")

    row, background = _ends(game)
    np.random.seed(seed)  # noqa: NPY002 - the only seed this explainer reads
    explainer = shap.KernelExplainer(game, background)
    return np.asarray(explainer.shap_values(row, nsamples=budget - 2, l1_reg=False, silent=True)).reshape(-1)


def _shap_sampling(game: StoredGame, budget: int, seed: int) -> Floats:
    """A sample is a pair of evaluations."""
    shap: Any = import_module("shap")

    row, background = _ends(game)
    np.random.seed(seed)  # noqa: NPY002 - the only seed this explainer reads
    explainer = shap.SamplingExplainer(game, background)
    return np.asarray(explainer.shap_values(row, nsamples=(budget - 2) // 2, silent=True)).reshape(-1)


def _captum(game: StoredGame, method: str, samples: int, seed: int) -> Floats:
    import torch

    attr: Any = import_module("captum.attr")

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - captum draws from the global generators

    def forward(rows: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(game(rows.numpy() > 0.5))

    row, background = torch.ones((1, game.n)), torch.zeros((1, game.n))
    found = getattr(attr, method)(forward).attribute(
        row, baselines=background, n_samples=samples, perturbations_per_eval=256
    )
    return found.detach().double().numpy()[0]


def _captum_shapley(game: StoredGame, budget: int, seed: int) -> Floats:
    """An order of the players costs n evaluations, the empty coalition one."""
    return _captum(game, "ShapleyValueSampling", max(1, (budget - 1) // game.n), seed)


def _captum_kernel(game: StoredGame, budget: int, seed: int) -> Floats:
    return _captum(game, "KernelShap", budget, seed)


def _interactions(index: Any) -> dict[str, Peer]:
    """The peers that answer both SII and Shapley-Taylor."""
    return {
        "SVARM-IQ": _shapiq(lambda n, s: sq.SVARMIQ(n, 2, index, top_order=True, random_state=s), 2),
        "SHAP-IQ": _shapiq(lambda n, s: sq.SHAPIQ(n, 2, index, top_order=True, random_state=s), 2),
        "ProxySHAP": _shapiq(lambda n, s: sq.ProxySHAP(n, max_order=2, index=index, random_state=s), 2),
        "ProxySHAP adjusted": _shapiq(
            lambda n, s: sq.ProxySHAP(n, max_order=2, index=index, adjustment=True, random_state=s), 2
        ),
        "ProxySHAP cross-fitted": _shapiq(
            lambda n, s: sq.ProxySHAP(n, max_order=2, index=index, adjustment=True, k_folds=5, random_state=s), 2
        ),
        "ProxySPEX": _shapiq(
            lambda n, s: sq.ProxySPEX(n=n, max_order=2, index=index, proxy_model=_lightgbm(s), random_state=s), 2
        ),
    }


PEERS: dict[str, dict[str, Peer]] = {
    "SV": {
        "KernelSHAP": _shapiq(lambda n, s: sq.KernelSHAP(n, random_state=s), 1),
        "KernelSHAP paired": _shapiq(lambda n, s: sq.KernelSHAP(n, pairing_trick=True, random_state=s), 1),
        "LeverageSHAP": _shapiq(lambda n, s: sq.LeverageSHAP(n, random_state=s), 1),
        "PermutationSampling": _shapiq(lambda n, s: sq.PermutationSamplingSV(n, random_state=s), 1),
        "SVARM": _shapiq(lambda n, s: sq.SVARM(n, random_state=s), 1),
        "OddSHAP": _shapiq(lambda n, s: sq.OddSHAP(n, random_state=s), 1),
        "RegressionMSR": _shapiq(lambda n, s: sq.RegressionMSR(n, "SV", random_state=s), 1),
        "RegressionMSR cross-fitted": _shapiq(lambda n, s: sq.RegressionMSR(n, "SV", k_folds=5, random_state=s), 1),
        "PolySHAP": _polyshap,
        "ProxySHAP": _shapiq(lambda n, s: sq.ProxySHAP(n, max_order=1, index="SV", random_state=s), 1),
        "ProxySHAP adjusted": _shapiq(
            lambda n, s: sq.ProxySHAP(n, max_order=1, index="SV", adjustment=True, random_state=s), 1
        ),
        "shap Permutation": _shap_permutation,
        "shap Kernel": _shap_kernel,
        "shap Sampling": _shap_sampling,
        "captum ShapleyValueSampling": _captum_shapley,
        "captum KernelShap": _captum_kernel,
    },
    "SII": {
        **_interactions("SII"),
        "KernelSHAP-IQ": _shapiq(lambda n, s: sq.KernelSHAPIQ(n, 2, "SII", pairing_trick=True, random_state=s), 2),
        "PermutationSampling": _shapiq(
            lambda n, s: sq.PermutationSamplingSII(n, 2, "SII", top_order=True, random_state=s), 2
        ),
    },
    "STII": {
        **_interactions("STII"),
        "PermutationSampling": _shapiq(lambda n, s: sq.PermutationSamplingSTII(n, 2, random_state=s), 2),
    },
}
"""By index: name -> peer. Interactions are compared on the sets of size exactly 2."""
