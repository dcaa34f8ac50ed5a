"""`kernel`: KernelSHAP as a sampler, for comparison: the regression of `leverage` on coalitions drawn by the Shapley kernel.

Lundberg, Lee, "A unified approach to interpreting model predictions" (NeurIPS 2017); pairs: Covert, Lee, "Improving KernelSHAP" (AISTATS
2021). A size s is drawn with probability proportional to 1 / (s (n-s)), in fixed counts and without replacement; the weights of the
regression divide by those counts, so it estimates what `leverage` does.
"""

from __future__ import annotations

import numpy as np

from xai_ray.coalitions import Strata
from xai_ray.estimators.info import EstimatorInfo
from xai_ray.estimators.leverage import Leverage, minimum
from xai_ray.estimators.realised import by_strata
from xai_ray.indices import Question
from xai_ray.types import Floats


def kernel_law(question: Question, n: int) -> Floats:
    """1 / (s (n-s)) over sizes, as weights of the pair strata 1..n//2."""
    sizes = np.arange(1.0, n)
    law = np.zeros(n + 1)
    law[1:n] = 1.0 / (sizes * (n - sizes))
    return by_strata(law) if n > 1 else np.ones(0)


def make(question: Question, design: Strata) -> Leverage:
    """The regression under this name."""
    return Leverage(question, design, "kernel")


INFO = EstimatorInfo(
    name="kernel",
    indices=("SV",),
    orders=(1,),
    designs=("strata",),
    minimum=lambda question, n, stochastic=False: minimum(n),
    make=make,
    summary="KernelSHAP: weighted least squares on pairs drawn by the Shapley kernel, for comparison",
    source="Lundberg & Lee, NeurIPS 2017",
    law=kernel_law,
    largest=2_000,
    beyond="It solves an n x n system: use 'leverage' or 'permutation'",
)
