"""Damped Newton steps on many convex problems at once, each with its own backtracking.

Boyd and Vandenberghe, Convex Optimization (2004), algorithm 9.5, where a full step does not halve the least gradient so far. Without
backtracking the steps diverge on small coalitions. What ends a fit is the gradient at its minimum, however it got there.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from xai_ray.errors import XaiRayError
from xai_ray.types import Floats, Ints, Mask

_STEPS = 100
_HALVINGS = 40


class Problems(Protocol):
    """b problems whose objectives depend on parameters (b, D) and on scores (b, E) linear in them."""

    def scores(self, parameters: Floats) -> Floats:
        """Shape (b, E)."""
        ...

    def objective(self, rows: Ints, parameters: Floats, scores: Floats) -> Floats:
        """Objectives of the problems `rows` (r,) at parameters (r, D) and scores (r, E), shape (r,)."""
        ...

    def chances(self, scores: Floats) -> Floats:
        """What gradients and Hessians are made of; any shape."""
        ...

    def gradient(self, parameters: Floats, chances: Floats) -> Floats:
        """Shape (b, D)."""
        ...

    def step(self, chances: Floats, gradient: Floats, active: Mask) -> Floats:
        """Inverse Hessian times gradient, shape (b, D); 0 for problems that are not `active`."""
        ...

    def told(self, row: int) -> str:
        """Which coalition a problem belongs to, for messages."""
        ...


def minimise(problems: Problems, start: Floats, active: Mask, *, tolerance: float) -> Floats:
    """Minimisers (b, D) from `start` (b, D), to `tolerance` in the largest entry of the gradient.

    Problems that are not `active` stay at the start. Raises XaiRayError naming the coalition.
    """
    theta = start.copy()
    scores = problems.scores(theta)
    chances = problems.chances(scores)
    gradient = problems.gradient(theta, chances)
    least = np.full(len(theta), np.inf)
    for _ in range(_STEPS):
        size = np.abs(gradient).max(axis=1)
        least = np.minimum(least, size)
        active = active & ~(size <= tolerance)
        if not active.any():
            return theta
        step = problems.step(chances, gradient, active)
        before = theta, scores, (step * gradient).sum(axis=1)
        # Steps are 0 where a problem is not active.
        theta, scores = theta - step, scores - problems.scores(step)
        chances = problems.chances(scores)
        gradient = problems.gradient(theta, chances)
        # Near the minimum gradients shrink fast, which is cheaper to see than that objectives do. Half of the least so far: half of the
        # last could go on for ever, up in the objective by one step and back by the next.
        doubtful = active & ~(np.abs(gradient).max(axis=1) <= 0.5 * least)
        if doubtful.any():
            stuck = _walk(problems, before, theta, scores, step, doubtful)
            if stuck.any():
                _refuse(problems, stuck, "stopped decreasing before its minimum")
            chances = problems.chances(scores)
            gradient = problems.gradient(theta, chances)
    return _refuse(problems, active, f"did not converge in {_STEPS} Newton steps")


def _walk(
    problems: Problems,
    before: tuple[Floats, Floats, Floats],
    theta: Floats,
    scores: Floats,
    step: Floats,
    doubtful: Mask,
) -> Mask:
    """Put each doubtful problem, in place, at the longest halving of its step that decreases enough; which ones have none.

    `before` are parameters, scores and slopes at the start of the step.
    """
    from_theta, from_scores, slope = before
    rows = np.flatnonzero(doubtful)
    value = np.empty(len(theta))
    value[rows] = problems.objective(rows, from_theta[rows], from_scores[rows])
    change = problems.scores(step)
    left = doubtful.copy()
    for halving in range(_HALVINGS):
        rows = np.flatnonzero(left)
        if not len(rows):
            return left
        length = 0.5**halving
        to_theta, to_scores = from_theta[rows] - length * step[rows], from_scores[rows] - length * change[rows]
        to_value = problems.objective(rows, to_theta, to_scores)
        # Rounding of the objective must not refuse the last steps before the minimum.
        allowed = value[rows] - 1e-4 * length * slope[rows] + 1e-13 * (1.0 + np.abs(value[rows]))
        fine = to_value <= allowed
        theta[rows[fine]], scores[rows[fine]] = to_theta[fine], to_scores[fine]
        left[rows[fine]] = False
    return left


def _refuse(problems: Problems, rows: Mask, what: str) -> Floats:
    raise XaiRayError(
        f"the fit of {problems.told(int(np.flatnonzero(rows)[0]))} {what}; scale the features or use a stronger penalty"
    )


def members_told(members: Ints) -> str:
    """The training points of a coalition, the first twenty of them."""
    named = ", ".join(str(i) for i in members[:20]) + (", ..." if len(members) > 20 else "")
    return f"the coalition of {len(members)} points [{named}]"
