"""What a recording of tensor operations can hold, and what it cannot see.

Tables and predicates say which functions of torch answer from shapes alone, change a tensor in place, draw random
numbers or read values; others find hooks, hidden draws and values of other kinds, which no recorded operation shows.
"""

import inspect
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fastspiking.replay.trace import NotReplayable, tensors_in, tree_values

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
COUNTERS = frozenset({"num_batches_tracked"})  # buffers that a normalisation counts up in place; so does a replay


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
    # The option that lets it update them, and what torch takes where it is not given.
    option, default = ("training", False) if name == "batch_norm" else ("use_input_stats", True)
    means = [given.get("running_mean"), given.get("running_var")] if given.get(option, default) else []
    return [mean for mean in means if isinstance(mean, Tensor)]


def storage_of(tensor: Tensor) -> int:
    """Return what views of one memory share; sparse tensors have no single storage and stand for themselves."""
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)


def require_no_inference(tensors: Iterable[Tensor]) -> None:
    if any(tensor.is_inference() for tensor in tensors):
        raise NotReplayable("it computes under torch.inference_mode")


def has_changed(tensors: list[Tensor], versions: list[int]) -> bool:
    return any(tensor._version != version for tensor, version in zip(tensors, versions, strict=True))


def rng_state() -> Tensor:
    """Return the state of torch's generator, which tells by a change that something was drawn."""
    return torch.default_generator.get_state()


def has_boolean_index(func: Any, args: Any) -> bool:
    """Return whether an operation reads by a mask, so that the size of its result depends on values."""
    if getattr(func, "__name__", "") != "__getitem__":
        return False
    return any(tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors_in(args[1:]))


@contextmanager
def functions_recorded(recorder: Any) -> Iterator[None]:
    """Let `recorder` see each call of a `torch.autograd.Function`, whose inside is no operation of torch."""
    # The class that `Function.apply` hands on to, since authors keep that method: spike_fn = Surrogate.apply.
    owner: Any = torch.autograd.Function.__base__

    def apply(kind: type, *args: Any, **kwargs: Any) -> Any:
        return recorder.apply(super(owner, kind).apply, kind, args, kwargs)

    owner.apply = classmethod(apply)
    try:
        yield
    finally:
        del owner.apply


def other_rng_states() -> tuple[Any, ...]:
    """Return the states of Python's and NumPy's generators, in a form that `==` compares."""
    inner = np.random.get_state(legacy=False)  # noqa: NPY002 - somebody's forward may use it
    state: Any = inner["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"], inner["has_gauss"]


PLAIN_OUTPUTS = (int, float, bool, str, complex, type(None), torch.dtype, torch.device, torch.Size)


def require_plain(value: Any, verb: str) -> None:
    """Raise `NotReplayable` for anything but tensors, numbers and text in lists, tuples and dictionaries."""
    for each in tree_values(value):
        if not isinstance(each, (Tensor, *PLAIN_OUTPUTS)):
            raise NotReplayable(f"it {verb} a {type(each).__name__}")


HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_hooks", "_backward_pre_hooks")


def has_hooks(module: nn.Module) -> bool:
    return any(getattr(module, hooks, None) for hooks in HOOKS)


def reason_to_bypass(network: nn.Module) -> str:
    """Return which module needs its own `__call__`, and why, so that no replay may stand in for it; "" if none does."""
    for path, module in network.named_modules():
        name = path or type(module).__name__
        if has_hooks(module):
            return f"module '{name}' has hooks"
        if "forward" in vars(module):
            return f"module '{name}' has a replaced forward"
        if isinstance(module, torch.jit.ScriptModule):
            return f"module '{name}' is compiled by TorchScript"
    return ""
