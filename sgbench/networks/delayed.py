"""Dense layers in a chain whose synapses have delays that are learnt."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sgbench.errors import InputError, require_choice, require_count, require_flag, require_number
from sgbench.inits.base import Init
from sgbench.networks.base import Chain, DenseLayer, Provided, hidden_sizes, readout_layer
from sgbench.networks.layers import sent_back
from sgbench.neurons.base import Neuron
from sgbench.signals.spikes import Signal, dense

KERNELS = ("gaussian", "triangle", "rounded")
NARROWEST = 0.1  # standard deviation of a Gaussian kernel [steps]
AWAY = 1e-4  # share of the longest delay by which a delay starts from either end


class DelayedLayer(DenseLayer):
    r"""Delays what each synapse of a dense layer transmits.

    .. math:: I_i[t] = \sum_j W_{ij} \sum_{k=0}^{D} \kappa(k; d_{ij}) \, x_j[t-k], \qquad d = D \, \sigma(w)

    Kernels, each with its weights over the steps adding up to 1: "gaussian" :math:`\propto e^{-(k-d)^2/2\sigma^2}`,
    "triangle" :math:`\max(0, 1 - |k-d|)` (linear interpolation), "rounded": all in the nearest step, with the
    gradient of the Gaussian. Recurrent synapses V have kernels of delays of their own:

    .. math:: I_i[t] \mathrel{+}= \sum_j V_{ij} \sum_{k=0}^{D} \kappa(k; d'_{ij}) \, s_j[t-1-k]

    Args:
        name: as records and messages call it.
        n_in: inputs.
        n_out: neurons.
        neuron: of this layer alone.
        max_delay_steps: D, the longest delay [steps].
        kernel: one of the three.
        bias: whether a bias joins the current in each step.
        recurrent: whether all neurons of the layer reach all of them by synapses that delay.

    Raises:
        InputError: recurrence among neurons that take all time steps at once.
    """

    def __init__(
        self,
        name: str,
        n_in: int,
        n_out: int,
        neuron: Neuron,
        *,
        max_delay_steps: int,
        kernel: str,
        bias: bool,
        recurrent: bool = False,
    ) -> None:
        if recurrent and neuron.sees_all_steps:
            raise InputError(
                f"network.recurrent_delays=true: the neurons of layer '{name}' take all time steps at once, so "
                "nothing can come back from one to the next; use network.recurrent_delays=false"
            )
        super().__init__(
            name, n_in, n_out, neuron, bias=bias, recurrence="all_to_all" if recurrent else "none"
        )
        self.longest = max_delay_steps
        self.kernel = kernel
        self.sigma_steps = 1.0
        self.taps = 1 if kernel == "rounded" else max_delay_steps + 1
        self.delay_logit = nn.Parameter(torch.zeros(self.weight.shape, dtype=torch.float64))
        self.recurrent_delay_logit: nn.Parameter | None = None
        if self.recurrent is not None:
            self.recurrent_delay_logit = nn.Parameter(torch.zeros(self.recurrent.shape, dtype=torch.float64))
            self.feeds_back_late = True
        self.always_all_steps = f"the synapses of layer '{name}' delay what they transmit"

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw weights, and delays uniformly between 0 and the longest."""
        super().reset_weights(init, generator)
        for logit in (self.delay_logit, self.recurrent_delay_logit):
            if logit is not None:
                share = torch.rand(logit.shape, generator=generator, dtype=torch.float64)
                with torch.no_grad():
                    logit.copy_(torch.logit(AWAY + (1 - 2 * AWAY) * share))

    @property
    def fan_out(self) -> int:
        """Count the synapses that one event reaches, times the steps in which it reaches each."""
        return super().fan_out * self.taps

    def delays(self) -> Tensor:
        """Return the delays of each synapse, in (0, D) [currents N, inputs, steps]."""
        return self._delays(self.delay_logit)

    def recurrent_delays(self) -> Tensor:
        """Return the delays of each recurrent synapse, beside the one step of all [currents N, N, steps].

        Raises:
            InputError: the layer has no recurrence.
        """
        if self.recurrent_delay_logit is None:
            raise InputError(f"layer '{self.name}' has no recurrence; use network.recurrent_delays=true")
        return self._delays(self.recurrent_delay_logit)

    def _delays(self, logit: Tensor) -> Tensor:
        return self.longest * logit.sigmoid()

    def kernels(self) -> Tensor:
        """Compute the share of each synapse's spike that arrives at each lag [currents N, inputs, D + 1].

        Lags are 0 to D steps, and the shares of a synapse add up to 1.
        """
        return self._kernels(self.delays())

    def _kernels(self, delays: Tensor) -> Tensor:
        """Compute the shares over lags of synapses with these delays."""
        lag = torch.arange(self.longest + 1, device=self.weight.device, dtype=self.weight.dtype)
        apart = lag - delays[..., None]
        if self.kernel == "triangle":
            return (1 - apart.abs()).relu()
        soft = (-0.5 * (apart / self.sigma_steps).square()).softmax(-1)
        if self.kernel == "gaussian":
            return soft
        hard = nn.functional.one_hot(apart.abs().argmin(-1), self.longest + 1).to(soft)
        return hard + (soft - soft.detach())

    def _gaussians(self) -> Tensor:
        """Compute what `kernels` does of Gaussians, with fewer passes over all lags on the way back."""
        return _Gaussian.apply(self.delays(), self.sigma_steps, self.longest + 1)  # type: ignore[no-any-return]

    def synapses(self) -> None:
        """Return None, since the product spans steps."""

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the current of all steps [T, B, currents N] from the input of all steps [T, B, inputs].

        Raises:
            InputError: a single step is given.
        """
        if x.dim() < 3:  # noqa: PLR2004 - time, batch, inputs
            raise InputError(f"layer '{self.name}': delays need the input of all time steps at once")
        spread = (weight[..., None] * self.kernels()).flip(-1)
        padded = nn.functional.pad(x.movedim(0, -1), (self.longest, 0))
        return nn.functional.conv1d(padded, spread, bias).movedim(-1, 0)

    def begin_feedback(self) -> Callable[[Tensor], Tensor]:
        """Return the function of a pass that takes the last spikes of step after step and returns their current.

        It keeps the spikes that are still under way, the latest first.
        """
        if self.recurrent is None:
            return self.feedback
        kernels = self._kernels(self.recurrent_delays())
        forth, back = (
            None if wires is None else (wires[..., None] * kernels).permute(2, 1, 0).flatten(0, 1)
            for wires in (self.recurrent_acting(), self.recurrent_feedback)
        )
        under_way: deque[Tensor] = deque(maxlen=self.longest + 1)

        def feedback(s: Tensor) -> Tensor:
            under_way.appendleft(s)
            sent = torch.cat(list(under_way), -1)
            rows = sent.shape[-1]
            if back is None:
                return sent @ forth[:rows]  # type: ignore[index]
            return sent_back(sent.detach() @ forth[:rows], sent, lambda sent: sent @ back[:rows])  # type: ignore[index]

        return feedback

    def feedback(self, s: Tensor) -> Tensor:
        """Compute the recurrent current of one step, where no spike is under way for longer.

        Raises:
            InputError: the recurrent synapses delay.
        """
        if self.recurrent is not None:
            raise InputError(f"layer '{self.name}': delays need the spikes of all time steps at once")
        return super().feedback(s)

    def current_of_events(self, signal: Signal) -> Tensor:
        """Compute the current of all steps by events, each of which reaches its targets over several steps."""
        from sgbench.engine.event_delays import delay

        if self.feedback_weight is not None:
            return self.current(dense(signal))
        if self.pool_in is not None or self.dropout is not None:
            signal = self.arriving(dense(signal))
        weight, bias = self.acting()
        kernels = self.kernels() if self.kernel != "gaussian" else self._gaussians()
        summed = delay(signal, weight[..., None] * kernels, bias)
        if summed is None:
            return self.current(dense(signal))
        return self.normalised(summed)


class _Gaussian(torch.autograd.Function):
    """Maps delays to kernels, whose derivative is kernel (lag - its mean) / sigma^2."""

    @staticmethod
    def forward(ctx: Any, delays: Tensor, sigma_steps: float, lags: int) -> Tensor:
        """Compute the kernels in place, one piece of memory for all."""
        lag = torch.arange(lags, dtype=delays.dtype)
        kernel = lag - delays.detach()[..., None]
        kernel = kernel.div_(sigma_steps).square_().mul_(-0.5).softmax(-1)
        ctx.save_for_backward(kernel)
        ctx.sigma_steps = sigma_steps
        return kernel

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None]:
        """Compute the gradient of the delays."""
        (kernel,) = ctx.saved_tensors
        lag = torch.arange(kernel.shape[-1], dtype=kernel.dtype)
        apart = lag - (kernel @ lag)[..., None]
        return apart.mul_(kernel).mul_(grad).sum(-1) / ctx.sigma_steps**2, None, None


class Delayed(Chain):
    """Wires a chain of dense layers with learnt delays, and a readout.

    The Gaussian narrows in the course of training, from the first to the last of `sigma_steps`, in equal ratios
    from epoch to epoch; wide kernels feel where a delay should move, narrow ones are what a chip can do.

    Args:
        provided: what the builder gives.
        hidden: neurons per hidden layer.
        max_delay_steps: the longest delay [steps].
        kernel: "gaussian", "triangle" or "rounded"; see `DelayedLayer`.
        sigma_steps: standard deviation of the Gaussian at the first and the last epoch [steps].
        readout_delays: whether the synapses of the readout delay too.
        bias: whether layers have biases.
        recurrent_delays: whether neurons of a hidden layer reach each other by synapses that delay.

    Raises:
        InputError: an empty chain, or a value out of range.

    Source: Hammouamri, Khalfaoui-Hassani & Masquelier 2024, ICLR, arXiv:2306.17670 (Gaussian kernels of falling
    width); Khalfaoui-Hassani et al. 2023, arXiv:2112.03740 (linear interpolation). Currents and gradients equal
    those of DCLS 0.1.1 (tested), where delays are clamped and rounded after training; here a logit keeps them in
    range, and "rounded" trains what will run.
    """

    def __init__(
        self,
        provided: Provided,
        *,
        hidden: Sequence[int],
        max_delay_steps: int,
        kernel: str,
        sigma_steps: Sequence[float],
        readout_delays: bool,
        bias: bool,
        recurrent_delays: bool = False,
    ) -> None:
        super().__init__()
        sizes = [provided.n_inputs, *hidden_sizes(hidden, bias)]
        require_count("network.max_delay_steps", max_delay_steps)
        require_choice("network.kernel", kernel, KERNELS)
        require_flag("network.readout_delays", readout_delays)
        require_flag("network.recurrent_delays", recurrent_delays)
        self.sigmas = _pair(sigma_steps)
        options = {"max_delay_steps": max_delay_steps, "kernel": kernel, "bias": bias}
        layers: list[DenseLayer] = [
            DelayedLayer(
                f"hidden{position}",
                n_in,
                n_out,
                provided.make_neuron(n_out),
                recurrent=recurrent_delays,
                **options,
            )
            for position, (n_in, n_out) in enumerate(itertools.pairwise(sizes))
        ]
        n_outputs = provided.n_outputs
        layers.append(
            DelayedLayer("readout", sizes[-1], n_outputs, provided.make_readout(n_outputs), **options)
            if readout_delays
            else readout_layer(sizes[-1], provided, bias=bias)
        )
        self.set_up(layers, provided)
        self.advance(0.0)

    def advance(self, progress: float) -> None:
        """Narrow the Gaussians of the delays as training advances."""
        super().advance(progress)
        first, last = self.sigmas
        for layer in self.layers:
            if isinstance(layer, DelayedLayer):
                layer.sigma_steps = first * (last / first) ** progress


def _pair(sigma_steps: object) -> tuple[float, float]:
    """Check and return the first and the last standard deviation."""
    if isinstance(sigma_steps, str) or not isinstance(sigma_steps, Sequence) or len(sigma_steps) != 2:  # noqa: PLR2004
        raise InputError(f"network.sigma_steps={sigma_steps!r}: two numbers such as [2.0, 0.5] are needed")
    first, last = (require_number("network.sigma_steps", sigma, low=NARROWEST) for sigma in sigma_steps)
    return first, last
