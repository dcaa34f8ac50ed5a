"""Where a model runs: torch modules on a device, and callables on numpy arrays. One interface, so that masking is
written once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from xai_ray.errors import ModelOutputError, XaiRayError
from xai_ray.games.arguments import Arguments
from xai_ray.types import Floats

if TYPE_CHECKING:
    import torch

Array = npt.NDArray[Any]


class Backend(Protocol):
    """Arrays of one library, and a forward pass. `Any` is that library's array type."""

    def put(self, array: Array) -> Any:
        """An array on the device, in its own type."""
        ...

    def put_input(self, at: int, array: Array) -> Any:
        """An array of input `at` on the device, in the type that the model takes."""
        ...

    def where(self, mask: Any, kept: Any, filled: Any) -> Any:
        """`kept` where the mask is true."""
        ...

    def scope(self) -> AbstractContextManager[Any]:
        """What masking and forward passes run in."""
        ...

    def forward(self, parts: list[Any]) -> Floats:
        """One forward pass, float64 of shape (rows, m). ModelOutputError when the model fails or returns something
        else.
        """
        ...


class ArrayBackend:
    """A callable on numpy arrays, such as scikit-learn's `predict_proba`."""

    def __init__(self, model: Callable[..., Any], arguments: Arguments) -> None:
        self._model, self._arguments = model, arguments

    def put(self, array: Array) -> Array:
        """The array itself."""
        return array

    def put_input(self, at: int, array: Array) -> Array:
        """The array itself."""
        return array

    def where(self, mask: Array, kept: Array, filled: Array) -> Array:
        """`kept` where the mask is true."""
        return np.where(mask, kept, filled)

    def scope(self) -> AbstractContextManager[Any]:
        """Nothing."""
        return nullcontext()

    def forward(self, parts: list[Array]) -> Floats:
        """Call the model."""
        return outputs_of(_call(self._model, parts, self._arguments), len(parts[0]))


class TorchBackend:
    """A torch module, or a callable on tensors, on one device."""

    def __init__(self, model: Callable[..., Any], arguments: Arguments, device: str) -> None:
        import torch

        self._torch, self._model, self._arguments = torch, model, arguments
        self._device = torch.device(device)
        floating = torch.get_default_dtype()
        if isinstance(model, torch.nn.Module):
            floating = next((p.dtype for p in model.parameters() if p.is_floating_point()), floating)
        self._dtypes = [
            getattr(torch, d) if d else (floating if np.issubdtype(i.array.dtype, np.floating) else None)
            for d, i in zip(arguments.dtypes, arguments.inputs, strict=True)
        ]

    def put(self, array: Array) -> torch.Tensor:
        """A tensor on the device."""
        return self._torch.from_numpy(np.require(array, requirements=["C", "W"])).to(self._device)

    def put_input(self, at: int, array: Array) -> torch.Tensor:
        """A tensor on the device, cast to the model's type when the input came as an array of real numbers."""
        dtype = self._dtypes[at]
        return self.put(array) if dtype is None else self.put(array).to(dtype)

    def where(self, mask: torch.Tensor, kept: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
        """`kept` where the mask is true."""
        return self._torch.where(mask, kept, filled)

    def scope(self) -> AbstractContextManager[Any]:
        """No autograd."""
        return self._torch.inference_mode()

    def forward(self, parts: list[torch.Tensor]) -> Floats:
        """Call the model; kernels are chosen deterministically, not by timing."""
        with self._kernels():
            return outputs_of(_call(self._model, parts, self._arguments), len(parts[0]))

    def _kernels(self) -> AbstractContextManager[Any]:
        if self._device.type != "cuda":
            return nullcontext()
        cudnn = self._torch.backends.cudnn
        return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=cudnn.allow_tf32)


def _call(model: Callable[..., Any], parts: list[Any], arguments: Arguments) -> Any:
    try:
        if arguments.call_by == "keyword":
            return model(**{i.name: p for i, p in zip(arguments.inputs, parts, strict=True)})
        return model(*parts)
    except XaiRayError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{i.name} {tuple(p.shape)} {p.dtype}" for i, p in zip(arguments.inputs, parts, strict=True))
        raise ModelOutputError(f"the model failed on {shapes}: {type(error).__name__}: {error}") from error


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
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.shape[1] == 0:
        raise ModelOutputError(
            f"the model must return shape (rows, outputs), got {array.shape}; wrap it so that it does"
        )
    if len(array) != rows:
        raise ModelOutputError(f"the model returned {len(array)} rows for a batch of {rows}")
    return array.astype(np.float64)


def is_module(model: Any) -> bool:
    """Whether this is a torch module; torch is not imported to find out."""
    return "torch" in sys.modules and isinstance(model, sys.modules["torch"].nn.Module)


def pick_device(device: str) -> str:
    """`auto` takes an accelerator when there is one."""
    if device != "auto":
        return device
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def set_threads(threads: int) -> None:
    """Threads of one torch operation in this process; the last bits of a forward pass depend on it."""
    torch_module = sys.modules.get("torch")
    if torch_module is not None and torch_module.get_num_threads() != threads:
        torch_module.set_num_threads(threads)
