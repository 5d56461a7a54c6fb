"""Operation counts of torch functions called between modules: those equivalent to a module, sums and means."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sgbench.energy import module_layers as layers
from sgbench.energy.module_layers import Received
from sgbench.energy.tally import Tally

REDUCING = ("sum", "mean")
MODULES: Mapping[str, type[nn.Module]] = {
    module.__name__.lower(): module for module in (*layers.POOLS, *layers.COMPARING, *layers.FUNCTIONS)
}


def module_like(name: str) -> type[nn.Module] | None:
    """Return the class of the torch module that does the same as a torch function; None if there is none.

    >>> module_like("leaky_relu"), module_like("matmul")
    (<class 'torch.nn.modules.activation.LeakyReLU'>, None)
    """
    return MODULES.get(name.replace("_", ""))


def is_counted(name: str) -> bool:
    """Return whether `count_function` knows the torch function of this name."""
    return name in REDUCING or module_like(name) is not None


def count_function(
    name: str,
    received: Received,
    arguments: tuple[Sequence[Any], Mapping[str, Any]],
    output: Tensor,
    tally: Tally,
) -> str:
    """Count the operations of one call of a torch function; return whether its output is "binary" or "real".

    A sum of k values takes k - 1 additions, a mean one multiplication more.

    Args:
        name: of the function, one for which `is_counted` is true.
        received: its input tensor.
        arguments: its other arguments, (by position, by name).
        output: its result.
        tally: to which the operations are added.
    """
    module_class = module_like(name)
    if module_class is None:
        elements = received.x.numel()
        tally.counts["pooling_operations"] += elements - output.numel() if name == "sum" else elements
        return "real"
    if module_class not in layers.POOLS:
        layers.activation(module_class(), output, tally)
        return "real"
    by_position, by_name = arguments
    known = inspect.signature(module_class).parameters
    module = module_class(*by_position, **{key: value for key, value in by_name.items() if key in known})
    layers.pool(module, received, output, tally)
    return received.kind if layers.keeps_kind(module) else "real"
