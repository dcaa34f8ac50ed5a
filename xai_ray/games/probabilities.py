"""Whether outputs are what they are said to be: scores taken for probabilities, or the reverse, give wrong numbers and no error."""

from __future__ import annotations

import numpy as np

from xai_ray.errors import ModelOutputError, SpecError
from xai_ray.types import Floats

_NEAR = 1e-3
"""What probabilities in low precision may miss 1 by."""
_EXACT = 1e-5


def check_probabilities(outputs: Floats, add_up: bool = True) -> None:
    """ModelOutputError for rows (r, m) that are no probabilities of m classes, or with `add_up=False` of m labels."""
    off = ((outputs < -_NEAR) | (outputs > 1.0 + _NEAR)).any(axis=1)
    off |= add_up & (np.abs(outputs.sum(axis=1) - 1.0) > _NEAR)
    if off.any():
        row = int(np.argmax(off))
        shown = ", ".join(f"{p:.4g}" for p in outputs[row, :4]) + (", .." if outputs.shape[1] > 4 else "")
        raise ModelOutputError(
            f"outputs='probabilities', but those of row {row} are {shown} and add up to {outputs[row].sum():.4g}; say outputs='logits' "
            "where they are scores, or 'raw' where they are other numbers"
        )


def check_not_probabilities(outputs: Floats) -> None:
    """SpecError for rows (r, m) that nobody called logits, lie in [0, 1] and add up to 1 each, as logits do only by chance."""
    if (outputs >= 0).all() and np.allclose(outputs.sum(axis=1), 1.0, rtol=0, atol=_EXACT):
        raise SpecError(
            "the model's outputs lie in [0, 1] and add up to 1 in every row: say outputs='probabilities', or outputs='logits' where they "
            "are scores all the same"
        )
