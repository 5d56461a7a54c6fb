"""What torch's functions compute between modules: those that do what a module does, sums and means."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from sgbench.energy import module_layers as layers
from sgbench.energy.module_layers import Received
from sgbench.energy.tally import Tally

REDUCING = ("sum", "mean")
KINDS: Mapping[str, type[nn.Module]] = {
    kind.__name__.lower(): kind for kind in (*layers.POOLS, *layers.COMPARING, *layers.FUNCTIONS)
}


def kind_of(name: str) -> type[nn.Module] | None:
    """Return the kind of module that does the same as a function; None where there is none.

    >>> kind_of("leaky_relu"), kind_of("matmul")
    (<class 'torch.nn.modules.activation.LeakyReLU'>, None)
    """
    return KINDS.get(name.replace("_", ""))


def is_counted(name: str) -> bool:
    """Return whether it is known what a function computes."""
    return name in REDUCING or kind_of(name) is not None


def count_function(
    name: str,
    received: Received,
    given: tuple[Sequence[Any], Mapping[str, Any]],
    output: Tensor,
    tally: Tally,
) -> str:
    """Count one call of a function, and return whether it hands on "binary" or "real" values.

    A sum of k values takes k - 1 additions, a mean a multiplication more, as a window of a pooling does.

    Args:
        name: of a function that is counted.
        received: what it computes from.
        given: its other arguments, by position and by name.
        output: of it.
        tally: to add to.
    """
    kind = kind_of(name)
    if kind is None:
        elements = received.x.numel()
        tally.counts["pooling_operations"] += elements - output.numel() if name == "sum" else elements
        return "real"
    if kind not in layers.POOLS:
        layers.activation(kind(), output, tally)
        return "real"
    by_place, by_name = given
    known = inspect.signature(kind).parameters
    module = kind(*by_place, **{key: value for key, value in by_name.items() if key in known})
    layers.pool(module, received, output, tally)
    return received.kind if layers.keeps_kind(module) else "real"
