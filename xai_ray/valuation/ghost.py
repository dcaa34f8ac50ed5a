"""Dot products of every sample's gradient with a direction, from one backward pass and without per-sample gradients.

A layer that is linear in its parameters, s_i = layer(a_i; W), has the sample gradients b_i . d layer(a_i; W) / dW, b_i the
gradient of the loss at s_i. So <g_i, V> = b_i . layer(a_i; V), and for two samples of a linear layer the "ghost" form
<g_i, g_j> = sum over positions of (a_i a_j')(b_i b_j'): Wang, Mittal, Song and Jia, "Data Shapley in one training run"
(ICLR 2025), section 4. The gradient of any part of the batch comes from the same a and b.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from xai_ray.errors import SpecError

LAYERS: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.Embedding,
    nn.LayerNorm,
    nn.GroupNorm,
)
"""Layers that are linear in their parameters and keep samples apart. Exact classes: a subclass may compute something else."""

_PAIRS = 1 << 24
"""Products of pairs of positions held at a time."""

Direction = Mapping[str, Tensor]
"""Parameter name -> tensor of its shape."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One call of a layer: its inputs a and the gradients b at its outputs, samples along axis 0."""

    layer: nn.Module
    names: Mapping[str, str]
    """Own name of each trained parameter of the layer -> its name in the model."""
    inputs: Tensor
    gradients: Tensor


@dataclass(frozen=True, slots=True)
class _Call:
    place: str
    layer: nn.Module
    inputs: Tensor
    version: int
    outputs: Tensor


@dataclass(slots=True)
class Tape:
    """The calls of the trained layers during one forward pass."""

    names: Mapping[nn.Module, Mapping[str, str]]
    calls: list[_Call] = field(default_factory=list)

    def taps(self, total: Tensor, samples: int) -> list[Tap]:
        """One backward pass of `total`, a sum over `samples` samples. Raises SpecError for a layer without a sample axis."""
        calls, self.calls = self.calls, []
        for call in calls:
            if call.outputs.ndim == 0 or call.outputs.shape[0] != samples:
                raise SpecError(
                    f"layer {call.place} gave an output of shape {tuple(call.outputs.shape)} for {samples} samples; samples "
                    "must lie along its first axis (expand inputs that all samples share)"
                )
            if call.inputs._version != call.version:
                raise SpecError(
                    f"the input of layer {call.place} was changed in place after the layer had read it; copy it first"
                )
        found = torch.autograd.grad(total, [call.outputs for call in calls], allow_unused=True)
        return [
            Tap(call.layer, self.names[call.layer], call.inputs, gradient)
            for call, gradient in zip(calls, found, strict=True)
            if gradient is not None
        ]


def trained_layers(model: nn.Module) -> dict[nn.Module, dict[str, str]]:
    """Layers with trained parameters, and the names of these. Raises SpecError naming a parameter of no layer in LAYERS."""
    names = {id(parameter): name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not names:
        raise SpecError("the model has no parameter that requires a gradient")
    found: dict[nn.Module, dict[str, str]] = {}
    for place, layer in model.named_modules():
        own = {k: names[id(p)] for k, p in layer.named_parameters(recurse=False) if id(p) in names}
        if not own:
            continue
        if type(layer) not in LAYERS:
            known = ", ".join(kind.__name__ for kind in LAYERS)
            raise SpecError(
                f"parameter {next(iter(own.values()))} belongs to a {type(layer).__name__} ({place or 'the model itself'}); sample "
                f"gradients are known for {known}: freeze it with requires_grad_(False) or write it with these"
            )
        if isinstance(layer, nn.Embedding) and (layer.scale_grad_by_freq or layer.sparse or layer.max_norm is not None):
            raise SpecError(
                f"layer {place}: Embedding with scale_grad_by_freq, sparse or max_norm has no sample gradients"
            )
        found[layer] = own
    return found


@contextmanager
def recording(layers: Mapping[nn.Module, Mapping[str, str]], model: nn.Module) -> Iterator[Tape]:
    """Record the calls of these layers of the model while the context lasts."""
    tape = Tape(layers)
    places = {layer: place for place, layer in model.named_modules()}

    def record(layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: Tensor) -> Tensor:
        inputs = (args[0] if args else kwargs["input"]).detach()
        tape.calls.append(_Call(places[layer], layer, inputs, inputs._version, outputs))
        # A copy goes on, so that an activation in place cannot replace what was recorded.
        return outputs.clone()

    handles = [layer.register_forward_hook(record, with_kwargs=True) for layer in layers]
    try:
        yield tape
    finally:
        for handle in handles:
            handle.remove()


def summed_gradient(taps: Sequence[Tap], samples: slice) -> dict[str, Tensor]:
    """The gradient of the summed losses of these samples, by parameter name."""
    total: dict[str, Tensor] = {}
    for tap in taps:
        for own, gradient in _layer_gradient(tap, samples).items():
            name = tap.names[own]
            total[name] = total[name] + gradient if name in total else gradient
    return total


def sample_dots(taps: Sequence[Tap], samples: slice, direction: Direction) -> Tensor:
    """<g_i, direction> for each of these samples, shape (samples,). One forward pass of the layers with other parameters."""
    parts = [(tap.gradients[samples] * _at(tap, samples, direction)).flatten(1).sum(dim=1) for tap in taps]
    return _sum(parts)


def ghost_dots(taps: Sequence[Tap], samples: slice, others: slice) -> Tensor:
    """<g_i, sum of g_j over `others`> for each of these samples, shape (samples,), layer by layer in the cheaper of two forms."""
    calls: dict[str, int] = {}
    for tap in taps:
        for name in tap.names.values():
            calls[name] = calls.get(name, 0) + 1
    # Products of pairs within one call are all there is only where a parameter is used once.
    once = [tap for tap in taps if max(calls[name] for name in tap.names.values()) == 1]
    pairwise = [tap for tap in once if _pairs_are_cheaper(tap, samples, others)]
    left = [tap for tap in taps if not any(tap is other for other in pairwise)]
    parts = [_pair_dots(tap, samples, others) for tap in pairwise]
    if left:
        parts.append(sample_dots(left, samples, summed_gradient(left, others)))
    return _sum(parts)


def _sum(parts: list[Tensor]) -> Tensor:
    if not parts:
        raise SpecError("no layer with trained parameters took part in the loss")
    return torch.stack(parts).sum(dim=0)


def _layer_gradient(tap: Tap, samples: slice) -> dict[str, Tensor]:
    layer, inputs, gradients = tap.layer, tap.inputs[samples], tap.gradients[samples]
    if isinstance(layer, nn.Linear):
        flat = gradients.reshape(-1, gradients.shape[-1])
        both = {"weight": lambda: flat.T @ inputs.reshape(-1, inputs.shape[-1]), "bias": lambda: flat.sum(dim=0)}
        return {own: both[own]() for own in tap.names}
    with torch.enable_grad():
        local = {own: layer.get_parameter(own).detach().requires_grad_() for own in tap.names}
        outputs = functional_call(layer, local, (inputs,))
        return dict(zip(local, torch.autograd.grad(outputs, list(local.values()), gradients), strict=True))


def _at(tap: Tap, samples: slice, direction: Direction) -> Tensor:
    """The layer with the direction for parameters: frozen ones do not move, so they are 0."""
    local = {
        own: direction[tap.names[own]] if own in tap.names else torch.zeros_like(parameter)
        for own, parameter in tap.layer.named_parameters(recurse=False)
    }
    with torch.no_grad():
        return functional_call(tap.layer, local, (tap.inputs[samples],))


def _positions(tensor: Tensor, samples: slice) -> Tensor:
    part = tensor[samples]
    return part.reshape(part.shape[0], -1, part.shape[-1])


def _pairs_are_cheaper(tap: Tap, samples: slice, others: slice) -> bool:
    if not isinstance(tap.layer, nn.Linear):
        return False
    (b, t, width), m = _positions(tap.inputs, samples).shape, tap.inputs[others].shape[0]
    out = tap.gradients.shape[-1]
    pairs = b * t * m * t
    return pairs <= _PAIRS and pairs * (width + out) < (b + m) * t * width * out


def _pair_dots(tap: Tap, samples: slice, others: slice) -> Tensor:
    mine, theirs = (_positions(tap.gradients, part) for part in (samples, others))
    likeness = mine.flatten(0, 1) @ theirs.flatten(0, 1).T
    inner = torch.zeros_like(likeness)
    if "weight" in tap.names:
        a, other = (_positions(tap.inputs, part).flatten(0, 1) for part in (samples, others))
        inner = a @ other.T
    if "bias" in tap.names:
        inner = inner + 1.0
    return (likeness * inner).sum(dim=1).reshape(mine.shape[0], -1).sum(dim=1)
