"""Layers of neurons with their feed-forward and recurrent weights, pooling, dropout and normalisation."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.parametrize import register_parametrization

from fastspiking.signals.spikes import Signal, dense
from sgbench.dropouts.base import Dropout, Mask
from sgbench.errors import InputError
from sgbench.inits.base import Init
from sgbench.networks.pool import Pool
from sgbench.neurons.base import Neuron
from sgbench.normalisations.base import Normalisation, Normaliser
from sgbench.quantisers.base import Quantiser


class Layer(nn.Module):
    r"""Holds a layer of neurons and the weights into it.

    .. math:: I[t] = P_\mathrm{out}\, N (W \, D \, P_\mathrm{in} \, x)[t]

    for the input x, its pooling P_in and dropout D, the weights W, and the normalisation N and pooling P_out of
    currents I; all but W are optional. After training, a normalisation that is equal in all steps is folded into
    the weights.

    `name`: name of the layer in records and messages. `neurons`: number of neurons. `neuron`: the neurons, used by this
    layer only. `recurrence`: "none", or the kind of recurrent weights. `recurrence_gradient`: "full", or "cut" (no
    gradient through the recurrent spikes).

    Raises:
        InputError: recurrence among neurons that take all time steps at once.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    recurrent: nn.Parameter | None
    feedback_weight: Tensor | None
    recurrent_feedback: Tensor | None
    coarse: torch.dtype | None = None  # coarser type in which weighted sums are computed; None for the weights' type
    taps: int = 0  # number of steps over which a synapse with delays spreads an event; 0 without delays
    feeds_back_late: bool = False  # whether its recurrent synapses have delays
    weight_bits: int | None = None  # number of bits of a quantised weight; None without quantisation
    residual_additions: int = 0  # additions or products per step that join a residual block's spikes

    def __init__(self, name: str, neurons: int, neuron: Neuron, *, recurrence: str, recurrence_gradient: str) -> None:
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
        self.valid: Tensor | None = None  # steps within samples, of the current pass [T, B]; None for all
        # Fixed weights that replace W and V in the backward pass; None for W and V.
        self.register_buffer("feedback_weight", None)
        self.register_buffer("recurrent_feedback", None)

    def normalise(self, normalisation: Normalisation) -> None:
        """Add a normalisation of the feed-forward currents."""
        self.normaliser = normalisation.of(self)

    def drop(self, dropout: Dropout) -> None:
        """Add a dropout of the input."""
        self.dropout = dropout.make()

    def quantise(self, quantiser: Quantiser) -> None:
        """Quantise the weights: reading them gives quantised values, the optimiser updates real numbers."""
        self.weight_bits = quantiser.bits
        for name in ("weight", "recurrent"):
            if getattr(self, name) is not None:
                register_parametrization(self, name, quantiser)

    @property
    def needs_all_steps(self) -> str | None:
        """Explain why the layer cannot run step by step; None if it can. Dropout counts in training only."""
        if self.always_all_steps is not None:
            return self.always_all_steps
        if self.normalises:
            return f"the currents of layer '{self.name}' are normalised over time"
        if self.training and self.dropout is not None:
            return f"the inputs of layer '{self.name}' {self.dropout.why_all_steps}"
        return None

    @property
    def normalises(self) -> bool:
        """Return whether currents are normalised by a separate operation, not folded into the weights."""
        return self.normaliser is not None and (self.training or not self.normaliser.folds)

    @property
    def sums(self) -> int:
        """Return the number of currents that the weights give in each step, before any pooling."""
        return self.neuron.currents * self.neurons

    @property
    def biases(self) -> int:
        """Return the number of biases that are added in each step."""
        folded = self.normaliser is not None and self.normaliser.folds
        return self.sums if folded or self.bias is not None else 0

    @property
    def normalisation_operations(self) -> int:
        """Return the multiply-adds per step of a normalisation that is not folded into the weights."""
        return self.sums if self.normaliser is not None and not self.normaliser.folds else 0

    @property
    def pooling_operations(self) -> int:
        """Return the operations of pooling per step: comparisons, or additions and multiplications."""
        before = 0 if self.pool_in is None else self.pool_in.operations
        after = 0 if self.pool_out is None else self.pool_out.operations * self.neuron.currents
        return before + after

    @abstractmethod
    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights."""

    def product(self, x: Tensor) -> Tensor:
        """Compute the weighted sum of inputs x [..., inputs] and the bias: all currents of N neurons [..., C N].

        C is the number of currents of a neuron. In the backward pass fixed feedback weights, if any, replace the
        weights.
        """
        if self.feedback_weight is None or not x.requires_grad:
            return self._weighted_sum(x, *self.weights_in_use())
        back = self.feedback_weight
        current = self._weighted_sum(x.detach(), *self.weights_in_use())
        return with_backward_of(current, x, lambda x: self._weighted_sum(x, back, None))

    def _weighted_sum(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute `weighted` in the type `coarse`, if set, and return it in the type of x.

        Casts of weights are not cached, as a rule may update weights within a pass.
        """
        if self.coarse is None:
            return self.weighted(x, weight, bias)
        with torch.autocast(x.device.type, self.coarse, cache_enabled=False):
            return self.weighted(x, weight, bias).to(x.dtype)

    @abstractmethod
    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the sum of inputs x by these weights, which have the shape of the layer's own, and the bias."""

    def feedback(self, s: Tensor) -> Tensor:
        """Compute the recurrent current [B, currents N] from the last step's spikes or potentials [B, N]."""
        if self.recurrent is None:
            return torch.zeros_like(s)
        weights, back = self.recurrent_in_use(), self.recurrent_feedback
        if self.cut or back is None or not s.requires_grad:
            return self.rewired(s.detach() if self.cut else s, weights)
        return with_backward_of(self.rewired(s.detach(), weights), s, lambda s: self.rewired(s, back))

    def begin_feedback(self) -> Callable[[Tensor], Tensor]:
        """Return a function for one pass, which maps the last spikes to the recurrent current: `feedback`."""
        return self.feedback

    def recurrent_in_use(self) -> Tensor:
        """Return the recurrent weights V in use; call only with recurrence."""
        return self.recurrent  # type: ignore[return-value]

    def rewired(self, s: Tensor, wires: Tensor) -> Tensor:
        """Compute the recurrent current from spikes s [B, N] by these weights, of the shape of the layer's own."""
        raise TypeError(f"layer '{self.name}' has no recurrence")

    def current(self, x: Tensor) -> Tensor:
        """Compute the feed-forward current [..., currents N] from inputs x [..., inputs]."""
        current = self.normalised(self.product(self.arriving(x)))
        return current if self.pool_out is None else self.pool_out(current)

    def current_of_events(self, signal: Signal) -> Tensor:
        """Compute `current` from the input of all steps [T, B, inputs] on a CPU, event by event if possible."""
        return self.current(dense(signal))

    def arriving(self, x: Tensor) -> Tensor:
        """Return the input after pooling and dropout, if any."""
        pooled = x if self.pool_in is None else self.pool_in(x)
        return pooled if self.dropout is None else self.dropout(pooled)  # type: ignore[no-any-return]

    def normalised(self, current: Tensor) -> Tensor:
        """Normalise currents, unless the normalisation is folded into the weights or absent."""
        return self.normaliser(current, self.valid) if self.normaliser is not None and self.normalises else current

    def weights_in_use(self) -> tuple[Tensor, Tensor | None]:
        """Return the weights and bias in use: after training with a normalisation folded into them, if possible."""
        trained = self.normaliser is not None and not self.training
        return self.normaliser.folded(self.weight, self.bias) if trained else (self.weight, self.bias)  # type: ignore[union-attr]

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return a matrix [currents N, inputs] and a bias that give the current; None if there are none."""
        return None


class DenseLayer(Layer):
    """Holds one layer of neurons with dense weights.

    Neurons with several currents have as many weights per input. The weights are [currents N, inputs], the rows of
    one kind of current after those of another.

    `n_in`: number of inputs. `n_out`: number of neurons. `recurrence`: "none", "one_to_one" (a vector V) or
    "all_to_all" (a matrix V); V s[t-1] is added to the current. `bias`: whether a bias is added to the current.

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
        # Stored by columns, so that the weights of one input, which engines add, are contiguous.
        self.weight = nn.Parameter(torch.empty(n_in, rows, dtype=torch.float64).T)
        self.bias = nn.Parameter(torch.zeros(rows, dtype=torch.float64)) if bias else None
        self.recurrent: nn.Parameter | None = None
        if recurrence == "one_to_one":
            self.recurrent = nn.Parameter(torch.empty(rows, dtype=torch.float64))
        elif recurrence == "all_to_all":
            self.recurrent = nn.Parameter(torch.empty(n_out, rows, dtype=torch.float64).T)
        self.split = neuron.splits_inputs and neuron.currents > 1
        for name_of_mask, weight in (("mask", self.weight), ("recurrent_mask", self.recurrent)):
            mask = None if weight is None or not self.split else torch.ones(weight.shape, dtype=torch.bool)
            self.register_buffer(name_of_mask, mask)

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw all weights, and for neurons that split their inputs which input reaches which current."""
        parts = self.neuron.currents if self.split else 1
        fan_in = max(1, self.weight.shape[1] // parts)
        init.fill(self.weight, fan_in, generator, recurrent=False, layer=self)
        if self.recurrent is not None:
            fan_in = self.neurons // parts if self.recurrence == "all_to_all" else 1
            init.fill(self.recurrent, max(1, fan_in), generator, recurrent=True, layer=self)
        for mask in (self.mask, self.recurrent_mask):
            if mask is not None:
                mask.copy_(_draw_parts(mask, parts, generator))

    @property
    def fan_out(self) -> int:
        """Return the number of synapses that one event reaches, of an input or of an all-to-all recurrence."""
        return self.neurons if self.split else self.weight.shape[0]

    def synapses(self) -> tuple[Tensor, Tensor | None] | None:
        """Return weights [currents N, inputs] and bias [currents N]; None if more than these make the current."""
        dropped = self.training and self.dropout is not None
        return None if dropped or self.normalises or self.pool_in is not None else self.weights_in_use()

    def weights_in_use(self) -> tuple[Tensor, Tensor | None]:
        weight, bias = super().weights_in_use()
        return self._apply_mask(weight, self.mask), bias

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the product of these weights and inputs x [..., inputs], plus the bias."""
        return nn.functional.linear(x, weight, bias)

    def recurrent_in_use(self) -> Tensor:
        return self._apply_mask(super().recurrent_in_use(), self.recurrent_mask)

    def rewired(self, s: Tensor, wires: Tensor) -> Tensor:
        """Compute the recurrent current from spikes s [B, N]: elementwise, or as a product with a matrix."""
        return s.repeat(1, self.neuron.currents) * wires if self.recurrence == "one_to_one" else s @ wires.T

    @staticmethod
    def _apply_mask(weight: Tensor, mask: Tensor | None) -> Tensor:
        return weight if mask is None else weight * mask


def with_backward_of(value: Tensor, x: Tensor, carry: Callable[[Tensor], Tensor]) -> Tensor:
    """Return a value unchanged, but back-propagate its gradient to x as if it had been computed by `carry`.

    `value`: computed from the detached x; its gradient also flows to everything else it depends on. `x`: the input.
    `carry`: a linear function of x, of which only the backward pass is used.

    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> with_backward_of(5 * x.detach(), x, lambda x: -2 * x).backward()
    >>> x.grad.tolist()
    [-2.0]
    """
    result: Tensor = _BackwardOf.apply(value, x, carry)  # type: ignore[no-untyped-call]
    return result


sent_back = with_backward_of  # its old name, for one release


class _BackwardOf(torch.autograd.Function):
    """Returns the value in the forward pass; back-propagates to it, and to x by another linear function."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, x: Tensor, carry: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.carry, ctx.shape = carry, x.shape
        return value.view_as(value)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients by the value and by x; the function is linear, so it is differentiated at 0."""
        with torch.enable_grad():
            zeros = slope.new_zeros(ctx.shape, requires_grad=True)
            (by_x,) = torch.autograd.grad(ctx.carry(zeros), zeros, slope)
        return slope, by_x, None


def why_all_steps(name: str, neuron: Neuron, recurrence: str) -> str | None:
    """Explain why a layer of these neurons cannot run step by step; None if it can."""
    if not neuron.sees_all_steps:
        return None
    if recurrence != "none":
        raise InputError(
            f"network.recurrence={recurrence}: the neurons of layer '{name}' take all time steps at once, so "
            f"nothing can come back from one to the next; use network.recurrence=none"
        )
    return f"the neurons of layer '{name}' take all time steps at once"


def _draw_parts(mask: Tensor, parts: int, generator: torch.Generator) -> Tensor:
    """Draw a mask that gives each current of a neuron a random part of the neuron's inputs.

    Parts differ by at most one in size.

    `mask`: gives the shape [currents N, inputs]. `parts`: number of currents per neuron. `generator`: random generator.
    """
    rows = mask.shape[0] // parts
    inputs = mask[0].numel()
    order = torch.rand(rows, inputs, generator=generator, dtype=torch.float64).argsort(1)
    chosen = order * parts // inputs
    return torch.cat([chosen == part for part in range(parts)]).view_as(mask)
