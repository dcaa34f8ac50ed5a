"""What a model returns, as numbers: one row an input, one column an output."""

from __future__ import annotations

from typing import Any

import numpy as np

from xai_ray.errors import ModelOutputError
from xai_ray.types import Floats


def outputs_of(result: Any, rows: int) -> Floats:
    """A model's result as float64 of shape (rows, m): a tensor, an array, or an object with `.logits`; (rows,) is one
    column.
    """
    result = getattr(result, "logits", result)
    if hasattr(result, "detach"):
        result = result.detach().cpu()
        result = result.double().numpy() if not result.is_complex() else result.numpy()
    array = np.asarray(result) if not isinstance(result, (dict, tuple)) else None
    if (
        array is None
        or not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool_)
        or np.iscomplexobj(array)
    ):
        what = f"type {array.dtype}" if array is not None else type(result).__name__
        raise ModelOutputError(f"the model must return one array of real numbers, shape (rows, outputs); got {what}")
    return shaped(array, rows).astype(np.float64)


def shaped(outputs: Any, rows: int) -> Any:
    """Outputs (rows, m), of which (rows,) is one column. Raises ModelOutputError for another shape."""
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim != 2 or outputs.shape[1] == 0:
        raise ModelOutputError(
            f"the model must return shape (rows, outputs), got {tuple(outputs.shape)}; wrap it so that it does"
        )
    if len(outputs) != rows:
        raise ModelOutputError(f"the model returned {len(outputs)} rows for a batch of {rows}")
    return outputs
