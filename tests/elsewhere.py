"""A device that is the processor in disguise: its tensors say that they lie elsewhere, and what mixes them with others fails.

On a machine without a GPU it shows what a run on one would meet: a batch that was not moved, a buffer left behind, NumPy asked
for what lies on the device. `trainer.accelerator=elsewhere` trains there, and runs are scored there too.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import torch
from pytorch_lightning.accelerators import Accelerator, AcceleratorRegistry
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.trainer.connectors import accelerator_connector
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

# The one device that every build of PyTorch knows and that has no memory of its own.
DEVICE = torch.device("meta")
FORBIDDEN: tuple[torch.dtype, ...] = ()  # what the device does not know
COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default, torch.ops.aten.copy.default)


class Distant(torch.Tensor):
    """Values that lie on the device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "Distant":
        out = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=DEVICE
        )
        out.inner = inner
        return out

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        """As of any device."""
        raise TypeError("cannot convert a tensor of the device to numpy")

    __array__ = numpy

    def tolist(self) -> Any:
        """A copy, as of any device."""
        return self.inner.tolist()

    def __getitem__(self, index: Any) -> Any:  # lists would be made tensors of the device behind our back
        index = tuple(map(_listed, index)) if isinstance(index, tuple) else _listed(index)
        return super().__getitem__(index)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.inner.__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict) -> Any:
        out = Distant(self.inner.detach().clone()).requires_grad_(self.requires_grad)
        return torch.nn.Parameter(out, self.requires_grad) if isinstance(self, torch.nn.Parameter) else out


class Disguise(TorchDispatchMode):
    """Makes tensors on the device, and lets none meet another."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the values; single numbers may come from the processor, and so may the rows that an index names."""
    tensors = [value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)]
    distant = [value for value in tensors if isinstance(value, Distant)]
    near = [value for value in tensors if not isinstance(value, Distant) and value.dim()]
    there = bool(distant)
    if there and near and func not in COPIES:
        indexed = func.overloadpacket in (torch.ops.aten.index, torch.ops.aten.index_put, torch.ops.aten.index_put_)
        indices = {id(index) for index in args[1]} if indexed and isinstance(args[0], Distant) else set()
        if not all(id(value) in indices for value in near):
            raise RuntimeError(f"{func}: a tensor of the processor meets one of the device")
    if kwargs.get("device") is not None:
        there, kwargs = torch.device(kwargs["device"]) == DEVICE, kwargs | {"device": torch.device("cpu")}
    elif func is torch.ops.aten.copy_.default:
        there = isinstance(args[0], Distant)
    plain_args, plain_kwargs = tree_map(_plain, (args, kwargs))
    out = func(*plain_args, **plain_kwargs)
    if not there:
        return out
    owner = {id(value.inner): value for value in distant}  # what is changed in place keeps its disguise

    def disguised(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if value.dtype in FORBIDDEN:
            raise TypeError(f"{func}: the device does not know {value.dtype}")
        return owner[id(value)] if id(value) in owner else Distant(value)

    return tree_map(disguised, out)


def _plain(value: Any) -> Any:
    return value.inner if isinstance(value, Distant) else value


def _listed(index: Any) -> Any:
    return torch.tensor(index) if isinstance(index, list) else index


class Elsewhere(Accelerator):
    """For the Trainer."""

    def setup_device(self, device: torch.device) -> None:
        """Refuse to train on another one, which would show nothing."""
        assert device == DEVICE

    def teardown(self) -> None:
        """Nothing."""

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        """None."""
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> int:
        """How many."""
        return int(devices)

    @staticmethod
    def get_parallel_devices(devices: int) -> list[torch.device]:
        """Equal ones."""
        return [DEVICE] * devices

    @staticmethod
    def auto_device_count() -> int:
        """One."""
        return 1

    @staticmethod
    def is_available() -> bool:
        """Everywhere."""
        return True

    @staticmethod
    def name() -> str:
        """Of `trainer.accelerator`."""
        return "elsewhere"


class Strategy(SingleDeviceStrategy):
    """Networks are built on the processor and moved: this device has no random numbers."""

    def tensor_init_context(self, empty_init: bool | None = None) -> Any:
        """None."""
        return nullcontext()


def _moved(make: Any) -> Any:
    def work(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> torch.Tensor:
        if device is None and isinstance(data, torch.Tensor):
            return make(data, *args, **kwargs)
        return make(data, *args, device="cpu", **kwargs).to(device or torch.empty(0).device)

    return work


def _new_tensor(self: torch.Tensor, data: Any, **given: Any) -> torch.Tensor:
    return torch.tensor(data, **{"dtype": self.dtype, "device": self.device, **given})


def _without_gradient(self: Any) -> None:
    self.gradient = torch.set_grad_enabled(not self.mode and torch.is_grad_enabled())
    self.gradient.__enter__()


@contextmanager
def elsewhere(*forbidden: torch.dtype) -> Iterator[None]:
    """The device exists; it knows numbers of all types but these."""
    from astro_lightning.predict import modes

    if "elsewhere" not in AcceleratorRegistry.available_accelerators():
        AcceleratorRegistry.register("elsewhere", Elsewhere)
    with (
        patch(f"{__name__}.FORBIDDEN", forbidden),
        patch.object(torch, "tensor", _moved(torch.tensor)),
        patch.object(torch, "as_tensor", _moved(torch.as_tensor)),
        patch.object(torch.Tensor, "new_tensor", _new_tensor),
        patch.object(torch, "autocast", lambda *args, **kwargs: nullcontext()),
        # tensors made for inference alone cannot wear the disguise
        patch.object(torch.inference_mode, "__enter__", _without_gradient),
        patch.object(torch.inference_mode, "__exit__", lambda self, *error: self.gradient.__exit__(*error)),
        patch.object(accelerator_connector, "SingleDeviceStrategy", lambda device: Strategy(DEVICE)),
        patch.object(modes, "run_device", lambda cfg: str(DEVICE)),
        Disguise(),
    ):
        torch.__future__.set_swap_module_params_on_conversion(True)
        try:
            yield
        finally:
            torch.__future__.set_swap_module_params_on_conversion(False)
