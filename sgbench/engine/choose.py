"""Which engine unrolls a layer, and why."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NamedTuple

import torch

from sgbench.engine import matmul, reference
from sgbench.engine.density import FORWARD_DENSE, WEIGHT_DENSE
from sgbench.engine.layer import EngineLayer, LayerRun, Wanted, passed_on, traced
from sgbench.engine.spec import requires_grad
from sgbench.errors import InputError, suggest
from sgbench.signals.spikes import Signal

ENGINES = ("fused", "scan", "generated", "reference", "snntorch", "triton")
PREFERRED = ("fused", "scan", "generated", "reference")
"""What `auto` tries, the fastest first."""
COMPILED = ("fused", "generated")
LONGEST = 500
"""Characters of a reason."""
LIMITS = (
    f"dense products above {FORWARD_DENSE:.0%} of events forward, {WEIGHT_DENSE:.0%} for gradients of weights"
)


class Choice(NamedTuple):
    """Names what runs a network, and the reason for it."""

    name: str  # of the engine, or of several joined by +
    reason: str


class Engine:
    """Runs layers by the engine asked for.

    Args:
        requested: "auto" (for each layer the fastest that covers it) or an engine's name.
        device: where the layers are.

    Raises:
        InputError: there is no engine of this name.

    >>> Engine("fast")
    Traceback (most recent call last):
    ...
    sgbench.errors.InputError: engine 'fast' does not exist; ...
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
        """Run a chain of layers over all steps.

        Under `torch.func` and `torch.compile`, and where gradient has to reach a state before the first step, the
        reference runs: the others' autograd functions know neither.

        Args:
            layers: product, recurrence and neurons of each.
            signal: input of all steps [T, B, ...] to the first, dense or packed.
            states: of each layer before the first step; None is rest.
            keep_u: whether membrane potentials of all steps are wanted.
            keep_spikes: whether the output of layers before the last is wanted.
            window: K; every K steps, from the first on, states go on without their gradient. None: nowhere.
            apart: whether each layer takes what arrives from the one before without its gradient.

        Raises:
            InputError: the engine asked for does not cover a layer.
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
            module, given = _module(names[first]), (layers[first:last], signal, starts[first:last], wanted)
            fresh = names[last : last + 1] == ["fused"] and starts[last] is None
            if names[first] == "generated":
                behind = layers[last] if fresh and module.goes_along(layers[last], wanted) else None
                runs += module.unroll(*given, readout=behind, or_reference=self.requested == "auto")
            else:
                runs += module.unroll(*given)
            if runs[-1].output is not None:
                signal = passed_on(runs[-1].output, wanted)
        return runs

    def _name(self, layer: EngineLayer, state: Any) -> str:
        """Return the engine for a layer that starts from this state."""
        if traced():  # torch.compile and torch.func see through the reference loop alone
            return "reference"
        picked, _ = self.pick(layer, on_trial=False)
        fresh = state is None or not any(requires_grad(field) for field in state)
        return picked if fresh else "reference"

    def pick(self, layer: EngineLayer, *, on_trial: bool = True) -> tuple[str, str]:
        """Choose the engine for a layer, and state why no faster one runs it.

        Args:
            layer: to be run.
            on_trial: whether a step that is written down is tried out; a pass sees by itself what it can write.
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
        """Explain why an engine cannot run a layer, or return None where it can."""
        if name in COMPILED and getattr(layer, "coarse", None) is not None:
            return "its loops compute in float32 and float64, and the weighted sums are asked for in bfloat16"
        if name != "reference" and getattr(layer, "feeds_back_late", False):
            return "its recurrent synapses delay"
        module = _module(name)
        ask = module.refusal if on_trial else getattr(module, "without_trial", module.refusal)
        refusal: str | None = ask(layer, self.device)
        return refusal

    def describe(self, layers: Sequence[EngineLayer]) -> Choice:
        """Say what these layers run on and why; for records, reports and debug lines.

        Raises:
            InputError: the engine asked for does not cover a layer.
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
    """Shorten a reason to the length that a record has room for."""
    return reason if len(reason) <= LONGEST else reason[: LONGEST - 3] + "..."


def _module(name: str) -> ModuleType:
    """Import an engine's module; the compiled ones and snnTorch are imported where they are used."""
    if name == "reference":  # which torch.compile looks into, as it cannot into an import
        return reference
    return importlib.import_module(f"sgbench.engine.{name}")
