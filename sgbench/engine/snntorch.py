"""Layers over time by snnTorch's own classes, step by step under autograd: what speed is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from sgbench.engine.layer import Layer, LayerRun, Wanted, one_by_one, start
from sgbench.engine.spec import LinearSpec
from sgbench.spikes import Signal, dense

NOT_OURS = ("input", "second_potential", "second_spike", "threshold_slope")
"""Coefficients that no class of snnTorch has."""


def refusal(layer: Layer, device: torch.device) -> str | None:
    """Why snnTorch 1.0 has no such layer, or None where it has."""
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        return "its neurons have no linear recurrence"
    if _family(spec) is None:
        return "snnTorch has no such neuron"
    if not spec.detached and spec.reset != "none":
        return "snnTorch always detaches the reset"
    resets = ("subtract", "zero", "none") if spec.second is None else ("subtract", "none")
    if spec.reset not in resets:
        return f"snnTorch resets otherwise than {spec.reset}"
    return None


def _family(spec: LinearSpec) -> type[nn.Module] | None:
    given = {name: getattr(spec, name) for name in (*NOT_OURS, "coupling", "second_input")}
    if any(isinstance(value, Tensor) for value in given.values()):
        return None
    shape = tuple(given.values())
    if spec.second is None:
        return snn.Leaky if shape == (1.0, 0.0, 0.0, 0.0, 0.0, 0.0) else None
    return snn.Synaptic if shape == (0.0, 0.0, 0.0, 0.0, 1.0, 1.0) else None


def unroll(layers: Sequence[Layer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run a chain of layers over time; see `Engine.unroll`."""
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: Layer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    """The recurrent current is ours, added as snnTorch adds its own."""
    current = layer.current(dense(signal))
    begin = start(layer, current[0], state)
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        raise TypeError(f"layer '{layer.name}' has no linear recurrence")
    neuron = _neuron(spec, current)
    u, w, s = spec.state(begin)
    outputs, potentials = [], []
    for now in current.unbind(0):
        driven = now if layer.recurrent is None or s is None else now + layer.feedback(s)
        if w is None:
            s, u = neuron(driven, u)
        else:
            s, w, u = neuron(driven, w, u)
        outputs.append(u if spec.surrogate is None else s)
        potentials.append(u)
    output = torch.stack(outputs)
    centred = torch.stack(potentials) - spec.threshold if wanted.u else None
    return LayerRun(output, centred, spec.next_state(begin, u, w, s))


def _neuron(spec: LinearSpec, like: Tensor) -> nn.Module:
    """snnTorch's class of this spec; a decay that learns keeps its gradient."""
    family = _family(spec)
    if family is None:
        raise TypeError("snnTorch has no such neuron")

    def number(value: Tensor | float) -> Tensor:
        return (
            value if isinstance(value, Tensor) else torch.tensor(value, dtype=like.dtype, device=like.device)
        )

    options = {"beta": number(spec.decay), "threshold": number(spec.threshold), "reset_mechanism": spec.reset}
    if spec.second is not None:
        options["alpha"] = number(spec.second_decay)
    if spec.surrogate is not None:
        options["spike_grad"] = spec.surrogate
    # It lists every neuron that was ever made; give the list back as it was.
    listed = list(snn.SpikingNeuron.instances)
    neuron = family(**options)
    snn.SpikingNeuron.instances[:] = listed
    return neuron.to(like.device)
