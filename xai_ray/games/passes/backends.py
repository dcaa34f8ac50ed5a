"""Where a model runs: torch modules on a device, and callables on numpy arrays."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np

from xai_ray.errors import ModelOutputError, XaiRayError
from xai_ray.games.arguments import Arguments
from xai_ray.games.passes.backend import Array
from xai_ray.games.passes.choosing import chosen
from xai_ray.games.passes.heap import keep_heap
from xai_ray.games.passes.model_outputs import outputs_of, shaped
from xai_ray.games.passes.numerics import DTYPES, Numerics
from xai_ray.games.passes.trees import of_trees, rounded
from xai_ray.types import Coalitions, Floats

if TYPE_CHECKING:
    import torch

    from xai_ray.games.passes.averaging import Averaging


class ArrayBackend:
    """A callable on numpy arrays, such as scikit-learn's `predict_proba`."""

    waits = False

    def __init__(self, model: Callable[..., Any], arguments: Arguments) -> None:
        self._model, self._arguments, self._trees = model, arguments, of_trees(model)
        keep_heap()

    def put(self, array: Array) -> Array:
        """The array itself."""
        return array

    def put_input(self, at: int, array: Array) -> Array:
        """The array itself; for trees, which would round it, in single precision."""
        return rounded(array) if self._trees else array

    def present(self, coalitions: Coalitions) -> Array:
        """Shape (c, n + 1)."""
        return _with_always(coalitions)

    def where(self, mask: Array, kept: Array, filled: Array) -> Array:
        """See `chosen`."""
        return chosen(mask, kept, filled)

    def parted(self, mask: Array, kept: Array) -> tuple[Array, Array]:
        """As they are."""
        return mask, kept

    def blend(self, mask: Array, kept: Array, filled: Array) -> Array:
        """See `chosen`."""
        return chosen(mask, kept, filled)

    def scope(self) -> AbstractContextManager[Any]:
        """Nothing."""
        return nullcontext()

    def begin(self, parts: list[Array]) -> Callable[[], Floats]:
        """Call the model."""
        outputs = outputs_of(_call(self._model, parts, self._arguments), len(parts[0]))
        return lambda: outputs

    def forward(self, parts: list[Array]) -> Floats:
        """Call the model."""
        return self.begin(parts)()

    def raw(self, parts: list[Array]) -> Floats:
        """Call the model."""
        return self.forward(parts)

    def means(self, outputs: Floats, averaging: Averaging) -> Floats:
        """See `Averaging.means`."""
        return averaging.means(outputs)

    def joined(self, parts: list[Array], axis: int) -> Array:
        """Concatenated."""
        return np.concatenate(parts, axis=axis)

    def room(self, outputs: Array, count: int) -> Array:
        """Of the same type."""
        return np.empty((count, *outputs.shape[1:]), dtype=outputs.dtype)

    def home(self, array: Array) -> Floats:
        """The array itself."""
        return array


class TorchBackend:
    """A torch module, or a callable on tensors, on one device."""

    def __init__(
        self, model: Callable[..., Any], arguments: Arguments, device: str, numerics: Numerics | None = None
    ) -> None:
        import torch

        self._torch, self._arguments = torch, arguments
        self.numerics = numerics or Numerics()
        self.device = torch.device(device)
        keep_heap()
        self.model = model
        """The module itself, not compiled."""
        if self.numerics.channels_last and isinstance(model, torch.nn.Module):
            self.model = copy.deepcopy(model).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._forward = self.compiled(self.model)
        floating = torch.get_default_dtype()
        if isinstance(model, torch.nn.Module):
            floating = next((p.dtype for p in model.parameters() if p.is_floating_point()), floating)
        self._dtypes = [
            getattr(torch, d) if d else (floating if np.issubdtype(i.array.dtype, np.floating) else None)
            for d, i in zip(arguments.dtypes, arguments.inputs, strict=True)
        ]
        self.waits = self.device.type == "cuda"
        self._copies = torch.cuda.Stream(self.device) if self.waits else None

    def put(self, array: Array) -> torch.Tensor:
        """A tensor on the device. To a CUDA device it goes from pinned memory on a stream of copies, beside the passes
        that run there.
        """
        tensor = self._torch.from_numpy(np.require(array, requirements=["C", "W"]))
        if self._copies is None:
            return tensor.to(self.device)
        stream = self._torch.cuda.current_stream(self.device)
        with self._torch.cuda.stream(self._copies):
            copied = tensor.pin_memory().to(self.device, non_blocking=True)
        stream.wait_stream(self._copies)
        copied.record_stream(stream)
        return copied

    def put_input(self, at: int, array: Array) -> torch.Tensor:
        """A tensor on the device, cast to the model's type when the input came as an array of real numbers."""
        dtype = self._dtypes[at]
        return self.put(array) if dtype is None else self.put(array).to(dtype)

    def present(self, coalitions: Coalitions) -> torch.Tensor:
        """Shape (c, n + 1); to an accelerator eight players travel in a byte."""
        if self.device.type == "cpu":
            return self.put(_with_always(coalitions))
        return self.unpacked(self.put(np.packbits(_with_always(coalitions), axis=1)), coalitions.shape[1] + 1)

    def unpacked(self, words: torch.Tensor, count: int) -> torch.Tensor:
        """Bytes (c, ceil(count / 8)) of `numpy.packbits` -> booleans (c, count)."""
        places = self._torch.arange(7, -1, -1, dtype=self._torch.uint8, device=words.device)
        return ((words[:, :, None] >> places) & 1).bool().view(len(words), -1)[:, :count]

    def where(self, mask: torch.Tensor, kept: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
        """`kept` where the mask is true."""
        return self._torch.where(mask, kept, filled)

    def parted(self, mask: torch.Tensor, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One where a player is absent, and rows that are zero there."""
        return (~mask).to(kept.dtype), kept * mask

    def blend(self, mask: torch.Tensor, kept: torch.Tensor, filled: torch.Tensor) -> torch.Tensor:
        """A sum with a product: `where` takes three times as long."""
        return self._torch.addcmul(kept, mask, filled)

    def scope(self) -> AbstractContextManager[Any]:
        """No autograd."""
        return self._torch.inference_mode()

    def compiled(self, model: Callable[..., Any]) -> Callable[..., Any]:
        """A module as it is called: compiled for batches of one shape where that is asked for."""
        return self._torch.compile(model, dynamic=False) if self.numerics.compile else model

    def begin(self, parts: list[torch.Tensor]) -> Callable[[], Floats]:
        """Call the model."""
        rows, result = len(parts[0]), self._called(parts)
        if not self.waits or not isinstance(result, self._torch.Tensor):
            outputs = outputs_of(result, rows)
            return lambda: outputs
        # The copy is queued now: one that is begun later would wait for the next pass besides.
        copied, arrived = result.detach().to("cpu", non_blocking=True), self._torch.cuda.Event()
        arrived.record(self._torch.cuda.current_stream(self.device))

        def outputs_at_home() -> Floats:
            arrived.synchronize()
            return outputs_of(copied, rows)

        return outputs_at_home

    def forward(self, parts: list[torch.Tensor]) -> Floats:
        """Call the model and wait for it."""
        return self.begin(parts)()

    def raw(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """Call the model, and wait for nothing."""
        rows, result = len(parts[0]), self._called(parts)
        if not isinstance(result, self._torch.Tensor) or result.is_complex():
            return self._torch.from_numpy(outputs_of(result, rows))
        return shaped(result, rows)

    def means(self, outputs: torch.Tensor, averaging: Averaging) -> torch.Tensor:
        """See `reducing.mean_over_fillings`."""
        if outputs.device.type == "mps":  # which has no float64
            return self._torch.from_numpy(averaging.means(self.home(outputs)))
        from xai_ray.games.passes.reducing import mean_over_fillings

        convention, averaged = averaging.reading
        return mean_over_fillings(outputs, convention, averaged if outputs.shape[1] > 1 else "outputs")

    def joined(self, parts: list[torch.Tensor], axis: int) -> torch.Tensor:
        """Concatenated."""
        return self._torch.cat(parts, dim=axis)

    def room(self, outputs: torch.Tensor, count: int) -> torch.Tensor:
        """Of the same type."""
        return outputs.new_empty((count, *outputs.shape[1:]))

    def home(self, array: torch.Tensor) -> Floats:
        """A copy."""
        return array.detach().cpu().double().numpy()

    def _called(self, parts: list[torch.Tensor]) -> Any:
        if self.numerics.channels_last:
            laid = self._torch.channels_last
            parts = [p.contiguous(memory_format=laid) if p.ndim == 4 else p for p in parts]
        with self._running():
            result = _call(self._forward, parts, self._arguments)
        return getattr(result, "logits", result)

    def run(self, part: Callable[..., Any], given: torch.Tensor) -> torch.Tensor:
        """A part of the model, on what comes from the part before it."""
        with self._running():
            result = part(given)
        return getattr(result, "logits", result)

    def _running(self) -> AbstractContextManager[None]:
        """What a model runs in: kernels chosen deterministically, not by timing; half precision where asked for."""
        return self._settings() if self.waits or self.numerics.precision is not None else nullcontext()

    @contextmanager
    def _settings(self) -> Iterator[None]:
        with ExitStack() as stack:
            if self.waits:
                cudnn = self._torch.backends.cudnn
                flags = {"enabled": cudnn.enabled, "allow_tf32": cudnn.allow_tf32}
                stack.enter_context(cudnn.flags(benchmark=False, deterministic=True, **flags))
            if self.numerics.precision is not None:
                dtype = getattr(self._torch, DTYPES[self.numerics.precision])
                stack.enter_context(self._torch.autocast(self.device.type, dtype))
            yield


def _with_always(coalitions: Coalitions) -> Coalitions:
    """Label -1 picks the last column: the places that always stay."""
    return np.concatenate([coalitions, np.ones((len(coalitions), 1), dtype=np.bool_)], axis=1)


def _call(model: Callable[..., Any], parts: list[Any], arguments: Arguments) -> Any:
    try:
        if arguments.call_by == "keyword":
            return model(**{i.name: p for i, p in zip(arguments.inputs, parts, strict=True)})
        return model(*parts)
    except XaiRayError:
        raise
    except Exception as error:
        if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
            raise  # by its name a worker knows that half the batch may do
        shapes = ", ".join(f"{i.name} {tuple(p.shape)} {p.dtype}" for i, p in zip(arguments.inputs, parts, strict=True))
        raise ModelOutputError(f"the model failed on {shapes}: {type(error).__name__}: {error}") from error


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
