"""Choice of the engine that runs a layer over time, and the reason for it."""

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch

from fastspiking import matmul, reference
from fastspiking.errors import InputError, suggest
from fastspiking.layer import EngineLayer, LayerRun, Wanted, passed_on, traced
from fastspiking.matmul import FORWARD_DENSE, WEIGHT_DENSE
from fastspiking.signals.spikes import Signal
from fastspiking.spec import requires_grad

ENGINES = ("fused", "scan", "generated", "reference", "snntorch", "triton")
PREFERRED = ("fused", "scan", "generated", "reference")
"""Engines that `auto` tries, the fastest first."""
COMPILED = ("fused", "generated")
LONGEST = 500
"""Most characters of a reason."""
LIMITS = f"dense products above {FORWARD_DENSE:.0%} of events forward, {WEIGHT_DENSE:.0%} for gradients of weights"


class Choice(NamedTuple):
    """Holds the name of the engine that runs a network, or names joined by +, and the reason for the choice."""

    name: str
    reason: str


class Engine:
    """Runs layers over time by the engine requested.

    Args:
        requested: an engine's name, or "auto" for the fastest engine that can run each layer.
        device: device of the layers.

    Raises:
        InputError: no engine has this name.

    >>> Engine("fast")
    Traceback (most recent call last):
    ...
    fastspiking.errors.InputError: engine 'fast' does not exist; ...
    """

    def __init__(self, requested: str, device: torch.device | str = "cpu") -> None:
        if requested != "auto" and requested not in ENGINES:
            raise InputError(f"engine '{requested}' does not exist; {suggest(requested, ['auto', *ENGINES])}")
        self.requested = requested
        self.device = torch.device(device)

    def unroll(
        self,
        layers: Sequence[EngineLayer],
        signal: Signal,
        states: Sequence[Any] | None = None,
        *,
        keep_u: bool = False,
        keep_spikes: bool = True,
        window: int | None = None,
        apart: bool = False,
    ) -> list[LayerRun]:
        """Run a chain of layers over all steps; return one run for each layer.

        The reference engine runs under `torch.func` and `torch.compile`, and where a state before the first step
        needs a gradient, since the other engines' autograd functions support neither.

        Args:
            layers: the chain; each has a product, a recurrence and neurons.
            signal: input of the first layer [T, B, ...], dense or packed.
            states: each layer's state before the first step; None, for a layer or for all, is the initial state.
            keep_u: whether membrane potentials of all steps are wanted.
            keep_spikes: whether the outputs of layers before the last are wanted.
            window: number of steps after which states are detached (truncated backpropagation); None: never.
            apart: whether each layer receives the previous layer's output without its gradient.

        Raises:
            InputError: the requested engine cannot run a layer.
        """
        starts = [None] * len(layers) if states is None else list(states)
        names = [self._name(layer, start) for layer, start in zip(layers, starts, strict=True)]
        wanted = Wanted(u=keep_u, spikes=keep_spikes, window=window, apart=apart)
        runs: list[LayerRun] = []
        # Neighbours on one engine run together; `itertools.groupby` would break the graph of torch.compile.
        while len(runs) < len(layers):
            first = last = len(runs)
            while last < len(layers) and names[last] == names[first]:
                last += 1
            module = _module(names[first])
            arguments = layers[first:last], signal, starts[first:last], wanted
            if names[first] == "generated":  # its loops can compute a readout of "fused" that starts at rest too
                next_is_fused = names[last : last + 1] == ["fused"] and starts[last] is None
                joins = next_is_fused and module.can_join_loop(layers[last], wanted)
                readout = layers[last] if joins else None
                runs += module.unroll(*arguments, readout=readout, or_reference=self.requested == "auto")
            else:
                runs += module.unroll(*arguments)
            if runs[-1].output is not None:
                signal = passed_on(runs[-1].output, wanted)
        return runs

    def _name(self, layer: EngineLayer, state: Any) -> str:
        """Return the name of the engine that runs a layer from a state; None is the initial state."""
        if traced():  # torch.compile and torch.func can trace the reference alone
            return "reference"
        picked, _ = self.pick(layer, on_trial=False)
        state_learns = state is not None and any(requires_grad(field) for field in state)
        return "reference" if state_learns else picked

    def pick(self, layer: EngineLayer, *, on_trial: bool = True) -> tuple[str, str]:
        """Return the name of the engine for a layer, and the reason why no faster one runs it.

        Args:
            layer: the layer to run.
            on_trial: whether an engine that generates code from a neuron's step tries to; a pass needs no trial.

        Raises:
            InputError: the requested engine cannot run the layer.
        """
        if self.requested != "auto":
            refusal = self._refusal(self.requested, layer, on_trial=on_trial)
            if refusal is not None:
                raise InputError(
                    f"engine={self.requested}: layer '{layer.name}' cannot run there: {refusal}; use engine=auto"
                )
            return self.requested, "asked for"
        refusals: list[str] = []
        for name in PREFERRED:
            refusal = self._refusal(name, layer, on_trial=on_trial)
            if refusal is None:
                return name, "; ".join(refusals)
            refusals.append(f"not {name}: {refusal}")
        raise AssertionError("the reference covers every layer")

    def _refusal(self, name: str, layer: EngineLayer, *, on_trial: bool) -> str | None:
        """Return why an engine cannot run a layer, or None if it can."""
        if name in COMPILED and getattr(layer, "coarse", None) is not None:
            return "its loops compute in float32 and float64, and the weighted sums are asked for in bfloat16"
        if name != "reference" and getattr(layer, "feeds_back_late", False):
            return "its recurrent synapses delay"
        module = _module(name)
        find_refusal = module.refusal if on_trial else getattr(module, "without_trial", module.refusal)
        return find_refusal(layer, self.device)  # type: ignore[no-any-return]

    def describe(self, layers: Sequence[EngineLayer]) -> Choice:
        """Return the engines that run these layers, and the reason, for records, reports and debug lines.

        Raises:
            InputError: the requested engine cannot run a layer.
        """
        picked = [(layer.name, *self.pick(layer)) for layer in layers]
        names = list(dict.fromkeys(name for _, name, _ in picked))
        if self.requested != "auto":
            return Choice(self.requested, "asked for")
        if len(names) == 1:
            why = next((reason for *_, reason in picked if reason), "")
            notes = ["the fastest engine that covers every layer", why]
            if names == ["fused"]:
                notes.append(f"{LIMITS}, in float32 by {matmul.library(torch.float32)}")
            return Choice(names[0], _short("; ".join(note for note in notes if note)))
        parts = [f"{layer} on {name}" + (f" ({why})" if why else "") for layer, name, why in picked]
        return Choice("+".join(names), _short("the fastest engine of each layer: " + ", ".join(parts)))


def _short(reason: str) -> str:
    return reason if len(reason) <= LONGEST else reason[: LONGEST - 3] + "..."


def _module(name: str) -> ModuleType:
    """Import an engine's module on its first use, since numba, Triton and snnTorch take long to import."""
    if name == "reference":  # torch.compile can trace it, but no import
        return reference
    return importlib.import_module(f"fastspiking.{name}")
