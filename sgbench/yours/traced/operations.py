"""Says what torch's functions do besides computing a tensor: shapes, draws, changes, statistics."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sgbench.yours.traced.trace import tensors_in

ABOUT_SHAPE = frozenset({
    "dim", "size", "__len__", "numel", "nelement", "stride", "ndimension", "element_size", "is_contiguous",
    "is_floating_point", "is_complex", "is_same_size", "type", "get_device", "storage_offset", "is_signed",
    "result_type", "can_cast", "is_tensor", "is_pinned", "is_shared",
})  # fmt: skip
"""Functions that answer from a tensor's shape and type alone."""
ATTRIBUTES_OF_SHAPE = frozenset({
    "shape", "dtype", "device", "layout", "is_leaf", "requires_grad", "is_cuda", "is_cpu", "is_mps", "ndim",
    "names", "is_sparse", "is_quantized", "itemsize", "nbytes", "is_nested", "is_meta", "is_mkldnn", "is_xla",
    "is_xpu", "is_sparse_csr", "grad_fn", "retains_grad", "output_nr", "is_ort", "is_ipu", "is_vulkan", "is_mtia",
    "_backward_hooks", "is_maia", "is_hpu",
})  # fmt: skip
"""Attributes of tensors that depend on their shape, type and history alone."""
SIZED_BY_VALUES = frozenset({
    "nonzero", "masked_select", "unique", "unique_consecutive", "argwhere", "repeat_interleave", "bincount",
    "_unique2", "histc", "masked_scatter",
})  # fmt: skip
"""Operations whose result has a shape that depends on values."""
REFUSED = frozenset({
    "backward", "register_hook", "retain_grad", "requires_grad_", "set_", "share_memory_", "grad", "resize_",
    "numpy", "register_post_accumulate_grad_hook", "data_ptr", "__array__", "untyped_storage", "storage",
})  # fmt: skip
"""Functions of tensors that do more than to compute another one."""
STATISTICS = frozenset({"batch_norm", "instance_norm"})
"""Functions that keep running means in buffers."""
COUNTERS = frozenset({"num_batches_tracked"})


def name_of(func: Any) -> str:
    """Return an operation's name; of an attribute's getter, that of the attribute."""
    name = getattr(func, "__name__", str(func))
    return getattr(getattr(func, "__self__", None), "__name__", name) if name == "__get__" else name


def is_getter(func: Any) -> bool:
    return getattr(func, "__name__", "") == "__get__"


def kept_statistics(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """Return the running means and variances that a normalisation updates; empty for any other operation."""
    name = name_of(func)
    if name not in STATISTICS:
        return []
    given = inspect.signature(func).bind(*args, **kwargs).arguments
    updates = given.get("training" if name == "batch_norm" else "use_input_stats", name != "batch_norm")
    means = [given.get("running_mean"), given.get("running_var")]
    return [mean for mean in means if isinstance(mean, Tensor)] if updates else []


def storage_of(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)


def is_change(tensors: list[Tensor], versions: list[int]) -> bool:
    return any(tensor._version != version for tensor, version in zip(tensors, versions, strict=True))


def draws() -> Tensor:
    return torch.default_generator.get_state()


def has_boolean_index(func: Any, args: Any) -> bool:
    """Return whether an operation reads by a mask, so that the size of its result depends on values."""
    if getattr(func, "__name__", "") != "__getitem__":
        return False
    return any(tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors_in(args[1:]))


@contextmanager
def functions_recorded(recorder: Any) -> Iterator[None]:
    # The class that `Function.apply` hands on to, since authors keep that method: spike_fn = Surrogate.apply.
    owner: Any = torch.autograd.Function.__base__

    def apply(kind: type, *args: Any, **kwargs: Any) -> Any:
        return recorder.apply(super(owner, kind).apply, kind, args, kwargs)

    owner.apply = classmethod(apply)
    try:
        yield
    finally:
        del owner.apply
