"""Holds a replay to the network itself: from the same state, results and gradients must agree up to rounding.

`NetworkState` undoes a call, so that the network and its replay start alike; `difference` compares what they gave.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from fastspiking.replay.neurons import NeuronAdapter
from fastspiking.replay.trace import tensors_in, with_refs

# Largest relative differences, in norm, that count as rounding: (of values, of gradients, whose sums cancel more).
ROUNDING = {torch.float32: (1e-5, 3e-4), torch.float64: (1e-11, 1e-9)}
COARSE = (1e-3, 1e-3)  # of float16 and bfloat16
GRADIENT_ALONE = "its replay has a gradient where the network has none, or none where it has one"
SMALL_SHARE = 1e-3  # gradients below this share of the largest are compared by that share


def difference(expected: Any, found: Any, sources: list[Tensor]) -> str:
    """Return how a replay's result differs from the network's own, or "" if results and gradients agree.

    `expected`: what the network returned and kept; `sources`: tensors whose gradients are compared.
    """
    ours, theirs = list(tensors_in(found)), list(tensors_in(expected))
    # Compared without tensors: containers, keys and plain values.
    if with_refs(expected, lambda _: None) != with_refs(found, lambda _: None):
        return "its replay returns another form"
    for mine, its in zip(ours, theirs, strict=True):
        if mine.requires_grad != its.requires_grad:
            return GRADIENT_ALONE
        if mine.shape != its.shape or mine.dtype != its.dtype:
            return f"its replay returns a tensor of shape {tuple(mine.shape)}, not {tuple(its.shape)}"
        error = _relative(mine.detach(), its.detach())
        if not error <= ROUNDING.get(its.dtype, COARSE)[0]:  # `not <=`, so that NaN differs
            return f"its replay returns other values (by {error:.1g})"
    gradients = [_gradients_of(each, sources) for each in (theirs, ours)]
    largest = max((float(each.double().norm()) for each in gradients[0] if each is not None), default=0.0)
    for its, mine in zip(*gradients, strict=True):
        if its is None or mine is None:
            one_sided = mine if its is None else its
            if one_sided is not None and bool(one_sided.any()):  # a gradient of zeros is as good as none
                return GRADIENT_ALONE
        else:
            error = _relative(mine, its, floor=SMALL_SHARE * largest)
            if not error <= ROUNDING.get(its.dtype, COARSE)[1]:
                return f"its replay has other gradients (by {error:.1g})"
    return ""


def _relative(one: Tensor, other: Tensor, floor: float = 0.0) -> float:
    """Return the norm of the difference over that of `other`, or over `floor` where that is larger.

    Equal infinities and NaN at the same places count as no difference; of integers it is the share that differs.
    """
    if not one.numel():
        return 0.0
    if not (one.is_floating_point() or one.is_complex()):
        return float((one != other).double().mean())
    one, other = one.double(), other.double()
    both_nan = one.isnan() & other.isnan()
    gap = torch.where(both_nan | (one == other), 0.0, one - other)
    return float(gap.norm() / other.nan_to_num().norm().clamp_min(max(floor, 1e-12)))


def _gradients_of(outs: list[Tensor], sources: list[Tensor]) -> list[Tensor | None]:
    """Return the gradients of sources for fixed random gradients of all outputs."""
    learnt = [out for out in outs if out.requires_grad]
    if not learnt or not sources:
        return []
    generator = torch.Generator().manual_seed(0)
    pulls = [torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out) for out in learnt]
    return list(torch.autograd.grad(learnt, sources, pulls, retain_graph=True, allow_unused=True))


# In these attributes torch registers others; a call can replace only buffers.
REGISTRIES = ("_parameters", "_buffers", "_modules")


class NetworkState:
    """Copies all that a call may change, to put it back: buffers, attributes, states of neurons, generators.

    A call may set the neurons of every network in the process to rest, so theirs are copied too.
    """

    def __init__(self, network: nn.Module, adapter: NeuronAdapter) -> None:
        known = {id(module) for module in network.modules()}
        self.modules = [*network.modules(), *(module for module in adapter.all_neurons() if id(module) not in known)]
        self.plain = [
            {key: value for key, value in vars(module).items() if key not in REGISTRIES} for module in self.modules
        ]
        self.buffers = [dict(module._buffers) for module in self.modules]
        containers = [value for plain in self.plain for value in plain.values() if type(value) in (list, dict, set)]
        self.contents = [(value, copy.copy(value)) for value in containers]
        kept = {id(tensor): tensor for tensor in (*network.buffers(), *network.parameters())}
        self.values = [
            (tensor, tensor.detach().clone())
            for tensor in kept.values()
            if (tensor.is_leaf or not tensor.requires_grad) and not tensor.is_inference()
        ]
        self.draws = torch.default_generator.get_state()
        self.devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def put_back(self) -> None:
        """Restore all of it, in place, so that other holders of a tensor or list see it too."""
        for module, plain, buffers in zip(self.modules, self.plain, self.buffers, strict=True):
            own: dict[str, Any] = vars(module)
            for key in [key for key in own if key not in REGISTRIES and key not in plain]:
                del own[key]
            own.update(plain)
            module._buffers.clear()
            module._buffers.update(buffers)
        for value, content in self.contents:
            value.clear()
            value.extend(content) if isinstance(value, list) else value.update(content)
        with torch.no_grad():
            for tensor, value in self.values:  # running means change without a new version
                if not torch.equal(tensor, value):
                    tensor.data.copy_(value)
        torch.default_generator.set_state(self.draws)
        if self.devices:
            torch.cuda.set_rng_state_all(self.devices)
