"""What plain torch code moves and computes, counted operation by operation while it runs.

Bytes: the tensors that go into and come out of every operation; views move nothing, repeated
(expanded) elements count once, and of an indexed array only what is taken. So it is what a device
without a cache between operations would read and write. Floating-point operations: 2·m·n·k of a
matrix product, and per element of the result 45 for a trilinear look-up, 80 for its derivative or
adjoint, else 1 (additions, logarithms and comparisons alike).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PER_ELEMENT = {"grid_sampler_3d": 45.0, "grid_sampler_3d_backward": 80.0}
_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm"}
_TAKES = {"index", "index_select", "gather"}
_FREE = {"_unsafe_view", "_reshape_alias", "empty", "new_empty", "empty_like", "empty_strided"}


@dataclass
class Traffic(TorchDispatchMode):
    """Counts ``bytes`` and ``flops`` of the torch operations within its ``with`` block."""

    bytes: float = 0.0
    flops: float = 0.0

    def __post_init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and add what it costs."""
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name not in _FREE and not _is_view(func):
            inputs, outputs = _tensors((args, kwargs)), _tensors(found)
            if kwargs and "out" in kwargs:
                inputs = [one for one in inputs if one is not found]
            if name in _TAKES:
                inputs = [*inputs[1:], *outputs]
            self.bytes += sum(map(_size, inputs)) + sum(map(_size, outputs))
            self.flops += _flops(name, inputs, outputs)
        return found


def _is_view(func: Any) -> bool:
    """Whether an operation only looks at its input in another way."""
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info and not r.alias_info.is_write for r in returns)


def _tensors(nested: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(nested) if isinstance(leaf, Tensor)]


def _size(tensor: Tensor) -> int:
    """Return the bytes of the different elements of a tensor."""
    elements = 1
    for length, stride in zip(tensor.shape, tensor.stride(), strict=True):
        elements *= length if stride else min(length, 1)
    return elements * tensor.element_size()


def _flops(name: str, inputs: list[Tensor], outputs: Iterable[Tensor]) -> float:
    elements = sum(one.numel() for one in outputs)
    if name in _PRODUCTS:
        return 2.0 * elements * inputs[-1].shape[-2]
    if name == "grid_sampler_3d_backward":
        elements = inputs[0].numel()
    return _PER_ELEMENT.get(name, 1.0) * elements
