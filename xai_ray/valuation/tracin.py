"""TracInCP: how far steps on a training point moved the validation loss, from checkpoints of one run.

Pruthi, Liu, Kale and Sundararajan, "Estimating training data influence by tracing gradient descent" (NeurIPS 2020), section 3.3.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from xai_ray.errors import InputError, SpecError
from xai_ray.valuation.losses import (
    Loss,
    Pair,
    as_tensors,
    as_values,
    evaluating,
    trained,
    whole_gradient,
    whole_gradient_dots,
)
from xai_ray.valuation.result import Valuation, without_sampling


def tracin_values(
    model: nn.Module,
    loss: Loss,
    data: Pair,
    validation: Pair,
    *,
    checkpoints: Sequence[Mapping[str, Tensor]],
    learning_rates: Sequence[float],
    chunk: int = 1024,
) -> Valuation:
    """sum_t rate_t g_i(w_t) . g_val(w_t) of each training point, shape (n,), over checkpoints w_t: state dicts of the model.

    g_val is the gradient of the mean validation loss, `loss(outputs, targets)` gives one number a sample; `chunk` samples are
    differentiated at a time. The model is read in evaluation mode and not changed. To first order a value is the fall of the
    validation loss by one step of each rate on the point alone.

    Raises InputError for unusable data or a checkpoint that is not of this model, SpecError for rates that do not match,
    ModelOutputError for a loss of another shape.
    """
    if len(checkpoints) != len(learning_rates) or not checkpoints:
        raise SpecError(
            f"{len(learning_rates)} learning rates for {len(checkpoints)} checkpoints; give one each, at least one"
        )
    if not all(np.isfinite(rate) and rate > 0 for rate in learning_rates):
        raise SpecError(f"learning rates are positive numbers, got {list(learning_rates)}")
    train, held = as_tensors(data, "data", model), as_tensors(validation, "validation", model)
    values = torch.zeros(len(train[0]), dtype=torch.float64)
    own = copy.deepcopy(model)
    with evaluating(own):
        for number, (checkpoint, rate) in enumerate(zip(checkpoints, learning_rates, strict=True)):
            at = trained(at_checkpoint(own, checkpoint, number))
            slope = whole_gradient(own, loss, held, at, chunk)
            values += rate * whole_gradient_dots(own, loss, train, at, slope, chunk).to("cpu", torch.float64)
    facts = {"checkpoints": len(checkpoints)}
    return without_sampling(as_values(values), "TracInCP: fall of the validation loss by steps on the point", facts)


def at_checkpoint(model: nn.Module, checkpoint: Mapping[str, Tensor], number: int) -> nn.Module:
    """The model itself, with the parameters of a checkpoint. Raises InputError for a state dict of another model."""
    try:
        model.load_state_dict(checkpoint, strict=True)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"checkpoint {number} is not a state dict of this {type(model).__name__}: {error}") from error
    return model
