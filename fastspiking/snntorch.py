"""The engine "snntorch": layers over time by snnTorch's own classes under autograd, to compare speed with."""

import math
from collections.abc import Sequence
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from fastspiking.layer import EngineLayer, LayerRun, Wanted, one_by_one, start
from fastspiking.signals.spikes import Signal, dense
from fastspiking.spec import LinearSpec

NOT_OURS = ("second_potential", "second_spike", "threshold_slope")
"""Coefficients that no class of snnTorch has."""
RESETS = {
    snn.Leaky: ("subtract", "zero", "none"),
    snn.Lapicque: ("subtract", "none"),  # its zero drops the current of the step behind a spike
    snn.Synaptic: ("subtract", "none"),  # so does this one's
    snn.Alpha: ("none",),  # its others reach into the currents
}
EQUAL = 1e-9  # relative tolerance between a neuron's gain and the one that snnTorch computes from decays


def refusal(layer: EngineLayer, device: torch.device) -> str | None:
    """Return why snnTorch cannot run a layer with the same results, or None if it can."""
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        return "its neurons have no linear recurrence"
    family = _family(spec)
    if family is None:
        return "snnTorch has no such neuron"
    if spec.surrogate is not None and spec.surrogate.stochastic:
        return "snnTorch draws twice in a step, for the spike and for its reset"
    if not spec.detached and spec.reset != "none":
        return "snnTorch always detaches the reset"
    if spec.reset not in RESETS[family]:
        return f"snnTorch resets otherwise than {spec.reset}"
    return None


def _family(spec: LinearSpec) -> type[nn.Module] | None:
    """Return the class of snnTorch whose equations a neuron's coefficients are, or None if there is none."""
    values = {name: getattr(spec, name) for name in (*NOT_OURS, "input", "coupling", "second_input")}
    if any(isinstance(value, Tensor) for value in values.values()) or any(values[name] for name in NOT_OURS):
        return None
    gain, coupling, second_input = values["input"], values["coupling"], values["second_input"]
    if spec.second is None:
        if gain == 1.0:
            return snn.Leaky
        is_circuit = isinstance(spec.decay, float) and 0 < spec.decay < 1 and gain > 0  # of resistor and capacitor
        return snn.Lapicque if is_circuit else None
    if (gain, coupling, second_input) == (0.0, 1.0, 1.0):
        return snn.Synaptic
    return snn.Alpha if _is_alpha(spec) else None


def _is_alpha(spec: LinearSpec) -> bool:
    """Return whether the coefficients are those of a difference of two exponentials, scaled as in `snn.Alpha`."""
    alpha, beta = spec.second_decay, spec.decay
    if isinstance(alpha, Tensor) or isinstance(beta, Tensor) or not 0 < beta < alpha < 1:
        return False
    expected = _scale(spec) * (alpha - beta) / alpha
    return spec.input == -spec.coupling and math.isclose(spec.coupling, expected, rel_tol=EQUAL)  # type: ignore[arg-type]


def _scale(spec: LinearSpec) -> float:
    """Compute the factor tau by which the difference of an alpha neuron's two currents gives the potential."""
    alpha, beta = math.log(float(spec.second_decay)), math.log(float(spec.decay))
    return beta / (beta - alpha)


def unroll(layers: Sequence[EngineLayer], signal: Signal, states: Sequence[Any], wanted: Wanted) -> list[LayerRun]:
    """Run a chain of layers over time; see `Engine.unroll`."""
    return one_by_one(_unroll, layers, signal, states, wanted)


def _unroll(layer: EngineLayer, signal: Signal, state: Any, wanted: Wanted) -> LayerRun:
    """Run one layer step by step by snnTorch's neuron, and convert its state from and to ours."""
    current = layer.current(dense(signal))
    begin = start(layer, current[0], state)
    spec = layer.neuron.recurrence_spec()
    if spec is None:
        raise TypeError(f"layer '{layer.name}' has no linear recurrence")
    family = _family(spec)
    neuron = _neuron(spec, family, current)
    u, w, s = spec.state(begin)
    fields: tuple[Any, ...] = (u,) if w is None else (w, u)  # of snnTorch's state, the potential last
    if family is snn.Alpha and w is not None:  # its second current, which our state has in u
        fields = (w, u / _scale(spec) - w, u)
    outputs, potentials = [], []
    for t, now in enumerate(current.unbind(0)):
        if wanted.window is not None and t and t % wanted.window == 0:
            s, fields = None if s is None else s.detach(), tuple(field.detach() for field in fields)
        driven = now if layer.recurrent is None or s is None else now + layer.feedback(s)
        s, *fields_after = neuron(driven, *fields)
        fields = tuple(fields_after)
        outputs.append(fields[-1] if spec.surrogate is None else s)
        potentials.append(fields[-1])
    output = torch.stack(outputs)
    centred = torch.stack(potentials) - spec.threshold if wanted.u else None
    state = spec.next_state(begin, fields[-1], None if w is None else fields[0], s)
    return LayerRun(output, centred, state)


def _neuron(spec: LinearSpec, family: type[nn.Module] | None, like: Tensor) -> nn.Module:
    """Build snnTorch's neuron with these coefficients, on the device and in the precision of `like`."""
    if family is None:
        raise TypeError("snnTorch has no such neuron")

    def number(value: Tensor | float) -> Tensor:
        return value if isinstance(value, Tensor) else torch.tensor(value, dtype=like.dtype, device=like.device)

    options = {"threshold": number(spec.threshold), "reset_mechanism": spec.reset}
    if family is snn.Lapicque:
        options["C"] = number(1 / spec.input)
        options["R"] = number(spec.input / (1 - spec.decay))
    else:
        options["beta"] = number(spec.decay)
    if spec.second is not None:
        options["alpha"] = number(spec.second_decay)
    if spec.surrogate is not None:
        options["spike_grad"] = spec.surrogate
    # snnTorch keeps a list of all neurons ever created; restore it.
    listed = list(snn.SpikingNeuron.instances)
    neuron = family(**options)
    snn.SpikingNeuron.instances[:] = listed
    return neuron.to(like.device)
