"""Layers of neurons: the weights into them and among them, and what shapes what arrives and what becomes of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrize import register_parametrization

from sgbench.dropouts.base import Dropout
from sgbench.dropouts.mask import Mask
from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.networks.pool import Pool
from sgbench.neurons.base import Neuron
from sgbench.normalisations.base import Normalisation
from sgbench.normalisations.normaliser import Normaliser
from sgbench.quantisers.base import Quantiser
from sgbench.signals.spikes import Signal, dense


class Layer(nn.Module):
    r"""Holds a layer of neurons and the weights into it.

    .. math:: I[t] = P_\mathrm{out}\, N (W \, D \, P_\mathrm{in} \, x)[t]

    with what pools and drops arriving spikes, and what normalises and pools currents, each where there is one. Once
    trained, a normalisation that is the same in all steps acts as a part of the weights.

    Args:
        name: as records and messages call it.
        neurons: how many.
        neuron: of this layer alone.
        recurrence: how its neurons are joined.
        recurrence_gradient: "full", or "cut": no gradient through the recurrent spikes.

    Raises:
        InputError: recurrence among neurons that take all time steps at once.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    recurrent: nn.Parameter | None
    feedback_weight: Tensor | None
    recurrent_feedback: Tensor | None
    coarse: torch.dtype | None = None  # of what weights multiply, where that is coarser than themselves
    taps: int = 0  # steps over which a synapse spreads an event, where it delays it
    feeds_back_late: bool = False  # whether its recurrent synapses delay
    weight_bits: int | None = None  # that store a weight, where weights are quantised
    residual_additions: int = 0  # of one step: values that join the layer's spikes, added or gated

    def __init__(
        self, name: str, neurons: int, neuron: Neuron, *, recurrence: str, recurrence_gradient: str
    ) -> None:
        super().__init__()
        self.name = name
        self.neurons = neurons
        self.neuron = neuron
        self.recurrence = recurrence
        self.cut = recurrence_gradient == "cut"
        self.always_all_steps = why_all_steps(name, neuron, recurrence)
        self.pool_in: Pool | None = None
        self.pool_out: Pool | None = None
        self.dropout: Mask | None = None
        self.normaliser: Normaliser | None = None
        self.valid: Tensor | None = None  # steps within the samples of the pass under way [T, B]; None: all
        # Fixed weights by which gradient goes back in place of W and V; None: by W and V.
        self.register_buffer("feedback_weight", None)
        self.register_buffer("recurrent_feedback", None)

    def normalise(self, normalisation: Normalisation) -> None:
        """Normalise the currents of the weights into this layer."""
        self.normaliser = normalisation.of(self)

    def drop(self, dropout: Dropout) -> None:
        """Drop a part of what arrives in training."""
        self.dropout = dropout.make()

    def quantise(self, quantiser: Quantiser) -> None:
        """Let quantised weights act wherever weights are read, while the real numbers behind them are optimised."""
        self.weight_bits = quantiser.bits
        for name in ("weight", "recurrent"):
            if getattr(self, name) is not None:
                register_parametrization(self, name, quantiser)

    @property
    def needs_all_steps(self) -> str | None:
        """Explain why the layer cannot go step by step, or return None; dropout may forbid it in training alone."""
        if self.always_all_steps is not None:
            return self.always_all_steps
        if self.normalises:
            return f"the currents of layer '{self.name}' are normalised over time"
        if self.training and self.dropout is not None:
            return f"the inputs of layer '{self.name}' {self.dropout.why_all_steps}"
        return None

    @property
    def normalises(self) -> bool:
        """Return whether currents pass through a normalisation that is not a part of the weights."""
        return self.normaliser is not None and (self.training or not self.normaliser.folds)

    @property
    def sums(self) -> int:
        """Count the currents that the product makes in each step, before any pooling."""
        return self.neuron.currents * self.neurons

    @property
    def biases(self) -> int:
        """Count the biases that are added in each step."""
        folded = self.normaliser is not None and self.normaliser.folds
        return self.sums if folded or self.bias is not None else 0

    @property
    def normalisation_operations(self) -> int:
        """Count multiply-adds of one step by a normalisation that is no part of the weights."""
        return self.sums if self.normaliser is not None and not self.normaliser.folds else 0

    @property
    def pooling_operations(self) -> int:
        """Count the operations of pooling in one step: comparisons, or additions and multiplications."""
        before = 0 if self.pool_in is None else self.pool_in.operations
        after = 0 if self.pool_out is None else self.pool_out.operations * self.neuron.currents
        return before + after

    @abstractmethod
    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew."""

    def product(self, x: Tensor) -> Tensor:
        """Multiply the weights with what arrives, of any number of leading dimensions, and add the bias."""
        if self.feedback_weight is None or not x.requires_grad:
            return self._summed(x, *self.acting())
        back = self.feedback_weight
        return sent_back(self._summed(x.detach(), *self.acting()), x, lambda x: self._summed(x, back, None))

    def _summed(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the weighted sum, of coarser numbers where those are asked for; it goes on as fine as it came.

        Nothing is cached: a rule may step by a gradient and go on in the same pass.
        """
        if self.coarse is None:
            return self.weighted(x, weight, bias)
        with torch.autocast(x.device.type, self.coarse, cache_enabled=False):
            return self.weighted(x, weight, bias).to(x.dtype)

    @abstractmethod
    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the weighted sum of what arrives, by weights of the shape of the layer's own."""

    def feedback(self, s: Tensor) -> Tensor:
        """Compute the recurrent current [B, currents N] from the last step's spikes or potentials [B, N]."""
        if self.recurrent is None:
            return torch.zeros_like(s)
        wires, back = self.recurrent_acting(), self.recurrent_feedback
        if self.cut or back is None or not s.requires_grad:
            return self.rewired(s.detach() if self.cut else s, wires)
        return sent_back(self.rewired(s.detach(), wires), s, lambda s: self.rewired(s, back))

    def begin_feedback(self) -> Callable[[Tensor], Tensor]:
        """Return the function of a pass that takes the last spikes of step after step and returns their current."""
        return self.feedback

    def recurrent_acting(self) -> Tensor:
        """Return the recurrent weights V as they act; asked for only where there is recurrence."""
        return self.recurrent  # type: ignore[return-value]

    def rewired(self, s: Tensor, wires: Tensor) -> Tensor:
        """Compute the weighted sum of the last spikes, by recurrent weights of the shape of the layer's own."""
        raise TypeError(f"layer '{self.name}' has no recurrence")

    def current(self, x: Tensor) -> Tensor:
        """Compute the feed-forward current of any number of leading dimensions."""
        current = self.normalised(self.product(self.arriving(x)))
        return current if self.pool_out is None else self.pool_out(current)

    def current_of_events(self, signal: Signal) -> Tensor:
        """Compute `current` of all steps [T, B, inputs] on a CPU, event by event where the product can."""
        return self.current(dense(signal))

    def arriving(self, x: Tensor) -> Tensor:
        """Return the input of the weights: pooled, and a part of it dropped."""
        pooled = x if self.pool_in is None else self.pool_in(x)
        return pooled if self.dropout is None else self.dropout(pooled)  # type: ignore[no-any-return]

    def normalised(self, current: Tensor) -> Tensor:
        """Normalise currents where this is no part of the weights."""
        return (
            self.normaliser(current, self.valid)
            if self.normaliser is not None and self.normalises
            else current
        )

    def acting(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias that act in the product: once trained, with the normalisation folded into them."""
        trained = self.normaliser is not None and not self.training
        return self.normaliser.folded(self.weight, self.bias) if trained else (self.weight, self.bias)  # type: ignore[union-attr]

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return matrix [currents N, inputs] and bias where the product has these; None for any other product."""
        return None


class DenseLayer(Layer):
    """Holds the weights into one layer of neurons, and among them.

    Neurons that take several currents have so many weights per input; currents of one kind lie side by side, and so
    do their weights [currents N, inputs].

    Args:
        name: as records and messages call it.
        n_in: inputs.
        n_out: neurons.
        neuron: of this layer alone.
        recurrence: "none", "one_to_one" (a vector V) or "all_to_all" (a matrix V): V s[t-1] joins the current.
        recurrence_gradient: "full", or "cut": no gradient through the recurrent spikes.
        bias: whether a bias joins the current in each step.

    Raises:
        InputError: recurrence among neurons that take all time steps at once.
    """

    mask: Tensor | None
    recurrent_mask: Tensor | None

    def __init__(
        self,
        name: str,
        n_in: int,
        n_out: int,
        neuron: Neuron,
        *,
        recurrence: str = "none",
        recurrence_gradient: str = "full",
        bias: bool = False,
    ) -> None:
        super().__init__(name, n_out, neuron, recurrence=recurrence, recurrence_gradient=recurrence_gradient)
        rows = neuron.currents * n_out
        # Stored by columns: engines add up the weights of one input, which then lie side by side.
        self.weight = nn.Parameter(torch.empty(n_in, rows, dtype=torch.float64).T)
        self.bias = nn.Parameter(torch.zeros(rows, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None
        if recurrence == "one_to_one":
            self.recurrent = nn.Parameter(torch.empty(rows, dtype=torch.float64))
        elif recurrence == "all_to_all":
            self.recurrent = nn.Parameter(torch.empty(n_out, rows, dtype=torch.float64).T)
        self.split = neuron.splits_inputs and neuron.currents > 1
        for kind, weight in (("mask", self.weight), ("recurrent_mask", self.recurrent)):
            drawn = None if weight is None or not self.split else torch.ones(weight.shape, dtype=torch.bool)
            self.register_buffer(kind, drawn)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights anew, and which input reaches which current; biases start at 0."""
        parts = self.neuron.currents if self.split else 1
        fan_in = max(1, self.weight.shape[1] // parts)
        init.fill(self.weight, fan_in, generator, recurrent=False, layer=self)
        if self.recurrent is not None:
            fan_in = self.neurons // parts if self.recurrence == "all_to_all" else 1
            init.fill(self.recurrent, max(1, fan_in), generator, recurrent=True, layer=self)
        for mask in (self.mask, self.recurrent_mask):
            if mask is not None:
                mask.copy_(_parts(mask, parts, generator))

    @property
    def fan_out(self) -> int:
        """Count the synapses that one event at an input, or one spike of an all-to-all recurrence, reaches."""
        return self.neurons if self.split else self.weight.shape[0]

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return weight [currents N, inputs] and bias [currents N]; None where the product is another."""
        dropped = self.training and self.dropout is not None
        return None if dropped or self.normalises or self.pool_in is not None else self.acting()

    def acting(self) -> tuple[Tensor, Tensor | None]:
        """Return weight and bias of the product, masked entries set to 0."""
        weight, bias = super().acting()
        return self._seen(weight, self.mask), bias

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Multiply the weights with what arrives, of any number of leading dimensions, and add the bias."""
        return nn.functional.linear(x, weight, bias)

    def recurrent_acting(self) -> Tensor:
        """Return the recurrent weights V, masked entries set to 0."""
        return self._seen(super().recurrent_acting(), self.recurrent_mask)

    def rewired(self, s: Tensor, wires: Tensor) -> Tensor:
        """Compute the recurrent current, element by element or as a product with a matrix."""
        return s.repeat(1, self.neuron.currents) * wires if self.recurrence == "one_to_one" else s @ wires.T

    @staticmethod
    def _seen(weight: Tensor, mask: Tensor | None) -> Tensor:
        return weight if mask is None else weight * mask


def sent_back(value: Tensor, x: Tensor, carry: Callable[[Tensor], Tensor]) -> Tensor:
    """Hand on a value made without the gradient of x, and send x what it would get had `carry` made the value.

    Args:
        value: with the history of all but x.
        x: what arrived.
        carry: a linear function, of which only the way back is used.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> sent_back(5 * x.detach(), x, lambda x: -2 * x).backward()
    >>> x.grad.tolist()
    [-2.0]
    """
    sent: Tensor = _SentBack.apply(value, x, carry)  # type: ignore[no-untyped-call]
    return sent


class _SentBack(torch.autograd.Function):
    """Returns the value forward; sends gradients back to x too, by another linear function."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, x: Tensor, carry: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the value unchanged."""
        ctx.carry, ctx.shape = carry, x.shape
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        """Send the gradient to the value, and to x through the other function, linear and so evaluated at 0."""
        with torch.enable_grad():
            origin = slope.new_zeros(ctx.shape, requires_grad=True)
            (back,) = torch.autograd.grad(ctx.carry(origin), origin, slope)
        return slope, back, None


def why_all_steps(name: str, neuron: Neuron, recurrence: str) -> str | None:
    """Explain why a layer cannot go step by step, or return None where it can."""
    if not neuron.sees_all_steps:
        return None
    if recurrence != "none":
        raise InputError(
            f"network.recurrence={recurrence}: the neurons of layer '{name}' take all time steps at once, so "
            f"nothing can come back from one to the next; use network.recurrence=none"
        )
    return f"the neurons of layer '{name}' take all time steps at once"


def _parts(mask: Tensor, parts: int, generator: torch.Generator) -> Tensor:
    """Draw for each neuron a random part of its inputs to each current; parts differ by at most one in size."""
    rows = mask.shape[0] // parts
    inputs = mask[0].numel()
    order = torch.rand(rows, inputs, generator=generator, dtype=torch.float64).argsort(1)
    chosen = order * parts // inputs
    return torch.cat([chosen == part for part in range(parts)]).view_as(mask)
