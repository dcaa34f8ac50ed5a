"""Models whose first operation is one linear layer, cut in two behind it: told by symbolic tracing, never by guessing.

What may stand in front of the layer works on each number of the input by itself (standardisation, flattening,
activations), so that it commutes with masking.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from xai_ray.errors import SpecError

_ENTRYWISE = (
    nn.Identity, nn.Dropout, nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.LeakyReLU,
    nn.BatchNorm1d, nn.BatchNorm2d,
)  # fmt: skip
"""Exact classes: a subclass may compute something else. In evaluation mode each works on every entry by itself."""
_SCALING = (operator.add, operator.sub, operator.mul, operator.truediv, torch.add, torch.sub, torch.mul, torch.div)
_FLATTENING = (torch.flatten, "flatten")


@dataclass(frozen=True)
class FirstLayer:
    """model(x) = after(before(x) @ weight.T + bias)."""

    before: nn.Module
    """(rows, *input) -> (rows, d), entry by entry in the order of the input."""
    weight: torch.Tensor
    """Shape (h, d)."""
    bias: torch.Tensor
    """Shape (h,)."""
    after: nn.Module
    """Preactivations (rows, h) -> the model's result; may write into its argument."""


def first_layer(model: Any, example: torch.Tensor) -> FirstLayer:
    """Cut a module in evaluation mode; `example` has shape (2, *input). SpecError that says why when it cannot be cut."""
    if not isinstance(model, nn.Module):
        raise not_foldable(f"the model is no torch module but {type(model).__name__}")
    if _hooked(model):
        raise not_foldable("the model has hooks")
    try:
        traced = fx.symbolic_trace(model)
    except Exception as error:
        raise not_foldable(f"its operations cannot be traced ({str(error).splitlines()[0]})") from error
    path = _path(traced)
    layer = traced.get_submodule(str(path[-1].target))
    before = _before(traced, path)
    with torch.inference_mode():
        # A module may write into its input.
        flat = before(example.clone(memory_format=torch.contiguous_format))
    if (
        not isinstance(layer, nn.Linear)
        or flat.shape != (2, layer.in_features)
        or flat[0].numel() != example[0].numel()
    ):
        raise not_foldable(f"what reaches the first linear layer has shape {tuple(flat.shape)}")
    weight = layer.weight.detach()
    bias = layer.bias.detach() if layer.bias is not None else weight.new_zeros(len(weight))
    return FirstLayer(before.eval(), weight, bias, _after(traced, path).eval())


def not_foldable(why: str) -> SpecError:
    """What is raised where folding was asked for and cannot be done."""
    return SpecError(f"the first layer cannot be folded: {why}; leave compute.fold (Numerics(fold=True)) out")


def _path(traced: fx.GraphModule) -> list[fx.Node]:
    """Nodes from the input to the first linear layer, each used by the next alone."""
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    used = [node for node in inputs if node.users]
    if len(used) != 1 or inputs[0] is not used[0]:
        raise not_foldable(f"the model takes {len(used)} inputs")
    path = [used[0]]
    while True:
        users = list(path[-1].users)
        if len(users) != 1:
            raise not_foldable(f"{path[-1].name!r} is used by {len(users)} operations")
        path.append(users[0])
        if _is_layer(traced, path[-1]):
            return path
        if not _entrywise(traced, path[-1], path[-2]):
            raise not_foldable(f"{path[-1].name!r} comes before the first linear layer and mixes entries, or may do so")


def _is_layer(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op != "call_module":
        return False
    module = traced.get_submodule(str(node.target))
    return type(module) is nn.Linear and not _hooked(module) and len(node.args) == 1 and not node.kwargs


def _entrywise(traced: fx.GraphModule, node: fx.Node, given: fx.Node) -> bool:
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        if _hooked(module) or module.training:
            return False
        if type(module) is nn.Flatten:
            return module.start_dim == 1 and module.end_dim == -1
        running = not isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)) or module.running_mean is not None
        return type(module) in _ENTRYWISE and running
    if node.target in _FLATTENING:
        return node.args == (given, 1) and not node.kwargs
    if node.op == "call_function" and node.target in _SCALING:
        # A constant of one axis at most lies along the last axis of every row; a larger one may reach across rows.
        return not node.kwargs and all(a is given or _constant(traced, a) for a in node.args)
    return False


def _constant(traced: fx.GraphModule, given: Any) -> bool:
    if isinstance(given, fx.Node):
        if given.op != "get_attr":
            return False
        value: Any = traced
        for name in str(given.target).split("."):
            value = getattr(value, name)
        return isinstance(value, torch.Tensor) and value.ndim <= 1
    return isinstance(given, (int, float))


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks) or "forward" in vars(module)


def _before(traced: fx.GraphModule, path: list[fx.Node]) -> nn.Module:
    """The graph up to the layer's input."""
    graph, kept = fx.Graph(), set(path[:-1])
    constants = {a for node in kept for a in node.all_input_nodes if a.op == "get_attr"}
    copied: dict[fx.Node, fx.Node] = {}
    for node in traced.graph.nodes:
        if node in kept or node in constants:
            copied[node] = graph.node_copy(node, copied.__getitem__)
    graph.output(copied[path[-2]])
    return fx.GraphModule(traced, graph)


def _after(traced: fx.GraphModule, path: list[fx.Node]) -> nn.Module:
    """The graph behind the layer, with the preactivations as its input."""
    graph, gone = fx.Graph(), set(path)
    copied = {path[-1]: graph.placeholder("preactivations")}
    for node in traced.graph.nodes:
        if _overwrites(traced, node):
            copied[node] = graph.call_function(torch.relu_, (copied[node.args[0]],))
        elif node not in gone and node.op != "placeholder":
            copied[node] = graph.node_copy(node, copied.__getitem__)
    return fx.GraphModule(traced, graph)


def _overwrites(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a rectifier may write into its argument: what a linear layer made and nothing else uses."""
    if node.op != "call_module" or len(node.args) != 1:
        return False
    module, given = traced.get_submodule(str(node.target)), node.args[0]
    if type(module) is not nn.ReLU or _hooked(module) or not isinstance(given, fx.Node):
        return False
    return len(given.users) == 1 and _is_layer(traced, given)
