"""The methods of `throughput_models.py`, each made for a subject and a budget: number of rows and seed -> values (rows, n).

Peers get the settings in which they are quickest here: they may call the model on as many rows at once as they like, and where they
have a batch of their own the quickest of several is taken. A package that is missing is an ImportError.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from throughput_inputs import Subject

from xai_ray.types import Floats

Explain = Callable[[int, int], Floats]
Make = Callable[[Subject, int], Explain]
_BATCHES = (10, 50, 200)
_CAPTUM_BATCHES = (1, 4, 16, 64)


@dataclass(frozen=True)
class Method:
    """A peer."""

    name: str
    make: Make


def cpu(call: Callable[[], Any]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def quickest(call: Callable[[int], Any], batches: tuple[int, ...]) -> int:
    return min(batches, key=lambda batch: cpu(lambda: call(batch)))


def ours(subject: Subject, budget: int, estimator: str = "auto") -> Explain:
    """Making the game is part of it: the probe of the model, the filling, the digest."""
    return lambda rows, seed: subject.explain(subject.game(subject.batch, rows), budget, estimator, seed)[0]


def shap_permutation(subject: Subject, budget: int) -> Explain:
    shap: Any = import_module("shap")

    def explain(rows: int, seed: int, batch: int, evaluations: int = budget) -> Floats:
        masker = shap.maskers.Independent(subject.background, len(subject.background))
        explainer = shap.PermutationExplainer(subject.model, masker, seed=seed)
        return explainer(subject.rows[:rows], max_evals=evaluations, batch_size=batch, silent=True).values

    least = 2 * subject.players + 1
    batch = quickest(lambda b: explain(1, 0, b, least), _BATCHES)
    return lambda rows, seed: explain(rows, seed, batch)


def shap_partition(subject: Subject, budget: int) -> Explain:
    shap: Any = import_module("shap")
    clustering = "correlation" if subject.clustering is None else subject.clustering

    def explain(rows: int, seed: int, batch: int, evaluations: int = budget) -> Floats:
        masker = shap.maskers.Partition(subject.background, len(subject.background), clustering=clustering)
        explainer = shap.PartitionExplainer(subject.model, masker)
        return explainer(subject.rows[:rows], max_evals=evaluations, batch_size=batch, silent=True).values

    batch = quickest(lambda b: explain(1, 0, b, 40), _BATCHES)
    return lambda rows, seed: explain(rows, seed, batch)


def shap_kernel(subject: Subject, budget: int) -> Explain:
    shap: Any = import_module("shap")

    def explain(rows: int, seed: int) -> Floats:
        np.random.seed(seed)  # noqa: NPY002 - the only seed this explainer reads
        explainer = shap.KernelExplainer(subject.model, subject.background)
        found = explainer.shap_values(subject.rows[:rows], nsamples=budget - 2, l1_reg=False, silent=True)
        return np.asarray(found).reshape(rows, -1)

    return explain


def alibi_kernel(subject: Subject, budget: int) -> Explain:
    alibi: Any = import_module("alibi.explainers")

    def explain(rows: int, seed: int) -> Floats:
        explainer = alibi.KernelShap(subject.model, link="identity", seed=seed)
        explainer.fit(subject.background)
        found = explainer.explain(subject.rows[:rows], nsamples=budget - 2, l1_reg=False, silent=True)
        return np.asarray(found.shap_values[0]).reshape(rows, -1)

    return explain


def shapiq_explainer(subject: Subject, budget: int) -> Explain:
    """Its TabularExplainer over all background rows; over players that are there or not its own choice of approximator."""
    shapiq: Any = import_module("shapiq")
    if not subject.many:
        approximators: Any = import_module("shapiq.approximator")

        def approximate(rows: int, seed: int) -> Floats:
            found = approximators.KernelSHAP(subject.players, random_state=seed).approximate(budget, subject.model)
            return found.get_n_order_values(1)[None]

        return approximate

    def explain(rows: int, seed: int) -> Floats:
        explainer = shapiq.TabularExplainer(
            model=subject.model,
            data=subject.background,
            imputer="marginal",
            index="SV",
            max_order=1,
            sample_size=len(subject.background),
            random_state=seed,
        )
        return np.stack([explainer.explain(r, budget=budget).get_n_order_values(1) for r in subject.rows[:rows]])

    return explain


def captum_sampling(subject: Subject, budget: int) -> Explain:
    """An order of the players costs n evaluations."""
    return _captum(subject, "ShapleyValueSampling", max(1, budget // subject.players))


def captum_kernel(subject: Subject, budget: int) -> Explain:
    return _captum(subject, "KernelShap", budget)


def _captum(subject: Subject, name: str, samples: int) -> Explain:
    attr: Any = import_module("captum.attr")

    def explain(rows: int, seed: int, batch: int, n_samples: int = samples) -> Floats:
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - captum draws from the global generators
        kept = subject.captum
        if kept is None:
            found = [_captum_row(subject, getattr(attr, name), row, batch, n_samples) for row in subject.rows[:rows]]
            return np.stack(found)
        with torch.no_grad():
            given = getattr(attr, name)(kept.forward).attribute(
                kept.whole,
                baselines=kept.absent,
                feature_mask=kept.feature_mask,
                n_samples=n_samples,
                perturbations_per_eval=batch,
            )
        # Every place of a player is given the player's value.
        out = np.zeros(subject.players)
        out[kept.feature_mask.numpy().ravel()] = given.numpy().ravel()
        return out[None]

    few = min(samples, 64 if name == "KernelShap" else 1)
    batch = quickest(lambda b: explain(1, 0, b, few), _CAPTUM_BATCHES)
    return lambda rows, seed: explain(rows, seed, batch)


def _captum_row(subject: Subject, make: Any, row: Floats, batch: int, samples: int) -> Floats:
    """Over masks, so that absent columns come from all background rows."""
    background = subject.background

    def value(masks: torch.Tensor) -> torch.Tensor:
        present = masks.numpy()[:, None] > 0.5
        filled = np.where(present, row, background).reshape(-1, subject.players)
        return torch.from_numpy(subject.model(filled).reshape(len(masks), -1).mean(axis=1))

    ones, zeros = torch.ones(1, subject.players), torch.zeros(1, subject.players)
    with torch.no_grad():
        found = make(value).attribute(ones, baselines=zeros, n_samples=samples, perturbations_per_eval=batch)
    return found[0].double().numpy()


PEERS = (
    Method("shap Permutation", shap_permutation),
    Method("shap Kernel", shap_kernel),
    Method("shap Partition (Owen values)", shap_partition),
    Method("captum ShapleyValueSampling", captum_sampling),
    Method("captum KernelShap", captum_kernel),
    Method("shapiq KernelSHAP", shapiq_explainer),
    Method("alibi KernelShap", alibi_kernel),
)
