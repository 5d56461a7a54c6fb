"""Chains of dense layers whose synapses have learnt delays."""

import itertools
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fastspiking.signals.spikes import Signal, dense
from sgbench.errors import InputError, require_choice, require_count, require_flag, require_number
from sgbench.inits.base import Init
from sgbench.networks.base import Chain, DenseLayer, Provided, hidden_sizes, readout_layer
from sgbench.networks.layers import with_backward_of
from sgbench.neurons.base import Neuron

KERNELS = ("gaussian", "triangle", "rounded")
NARROWEST = 0.1  # smallest standard deviation of a Gaussian kernel [steps]
MARGIN = 1e-4  # least distance of an initial delay from 0 and from the longest, as a share of the longest


class DelayedLayer(DenseLayer):
    r"""Delays the transmission of each synapse of a dense layer by a learnt time.

    .. math:: I_i[t] = \sum_j W_{ij} \sum_{k=0}^{D} \kappa(k; d_{ij}) \, x_j[t-k], \qquad d = D \, \sigma(w)

    for the current I, input x, weights W, delays d and their logits w. Kernels kappa, whose values over k add up to
    1, are "gaussian" :math:`\propto e^{-(k-d)^2/2\sigma^2}`, "triangle" :math:`\max(0, 1 - |k-d|)` (linear
    interpolation) and "rounded" (1 at the nearest step, with the gradient of the Gaussian). Recurrent weights V of
    spikes s have their own delays d':

    .. math:: I_i[t] \mathrel{+}= \sum_j V_{ij} \sum_{k=0}^{D} \kappa(k; d'_{ij}) \, s_j[t-1-k]

    `max_delay_steps`: longest delay D [steps]. `kernel`: "gaussian", "triangle" or "rounded". `recurrent`: whether the
    layer has all-to-all recurrence with delays.

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
        super().__init__(name, n_in, n_out, neuron, bias=bias, recurrence="all_to_all" if recurrent else "none")
        self.longest = max_delay_steps
        self.kernel = kernel
        self.sigma_steps = 1.0  # of a Gaussian; `Delayed.advance` sets it
        self.taps = 1 if kernel == "rounded" else max_delay_steps + 1
        self.delay_logit = nn.Parameter(torch.zeros(self.weight.shape, dtype=torch.float64))
        self.recurrent_delay_logit: nn.Parameter | None = None
        if self.recurrent is not None:
            self.recurrent_delay_logit = nn.Parameter(torch.zeros(self.recurrent.shape, dtype=torch.float64))
            self.feeds_back_late = True
        self.always_all_steps = f"the synapses of layer '{name}' delay what they transmit"

    def reset_weights(self, init: Init, generator: torch.Generator) -> None:
        """Draw weights as a dense layer does, and delays uniformly between 0 and D."""
        super().reset_weights(init, generator)
        for logit in (self.delay_logit, self.recurrent_delay_logit):
            if logit is not None:
                share = torch.rand(logit.shape, generator=generator, dtype=torch.float64)
                with torch.no_grad():  # away from 0 and 1, whose logits are infinite
                    logit.copy_(torch.logit(MARGIN + (1 - 2 * MARGIN) * share))

    @property
    def fan_out(self) -> int:
        return super().fan_out * self.taps

    def delays(self) -> Tensor:
        """Return the delays of all synapses, in (0, D) [steps], as [currents N, inputs]."""
        return self._delays(self.delay_logit)

    def recurrent_delays(self) -> Tensor:
        """Return the delays of all recurrent synapses, beyond the usual one step [steps], as [currents N, N]."""
        if self.recurrent_delay_logit is None:
            raise InputError(f"layer '{self.name}' has no recurrence; use network.recurrent_delays=true")
        return self._delays(self.recurrent_delay_logit)

    def _delays(self, logit: Tensor) -> Tensor:
        """Convert logits to delays in (0, D) [steps]."""
        return self.longest * logit.sigmoid()

    def kernels(self) -> Tensor:
        """Compute the kernel of each synapse at lags of 0 to D steps [currents N, inputs, D + 1]."""
        return self._kernels(self.delays())

    def _kernels(self, delays: Tensor) -> Tensor:
        """Compute the kernels of synapses with these delays [steps]: [...] to [..., D + 1]."""
        lag = torch.arange(self.longest + 1, device=self.weight.device, dtype=self.weight.dtype)
        distance = lag - delays[..., None]
        if self.kernel == "triangle":
            return (1 - distance.abs()).relu()
        gaussian = (-0.5 * (distance / self.sigma_steps).square()).softmax(-1)
        if self.kernel == "gaussian":
            return gaussian
        rounded = nn.functional.one_hot(distance.abs().argmin(-1), self.longest + 1).to(gaussian)
        return rounded + (gaussian - gaussian.detach())

    def synapses(self) -> None:
        """Return None: delays make the product more than a matrix and a bias."""

    def weighted(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute the current of all steps [T, B, currents N] from the input of all steps [T, B, inputs]."""
        if x.dim() < 3:  # noqa: PLR2004 - time, batch, inputs
            raise InputError(f"layer '{self.name}': delays need the input of all time steps at once")
        filters = (weight[..., None] * self.kernels()).flip(-1)
        padded = nn.functional.pad(x.movedim(0, -1), (self.longest, 0))
        return nn.functional.conv1d(padded, filters, bias).movedim(-1, 0)

    def begin_feedback(self) -> Callable[[Tensor], Tensor]:
        """Return a function for one pass, which maps the last step's spikes to the recurrent current.

        It must be called once per step, as it stores the spikes that have not fully arrived.
        """
        if self.recurrent is None:
            return self.feedback
        kernels = self._kernels(self.recurrent_delays())
        # Rows of both matrices: lag by lag, the presynaptic neurons.
        forward, backward = (
            None if weights is None else (weights[..., None] * kernels).permute(2, 1, 0).flatten(0, 1)
            for weights in (self.recurrent_in_use(), self.recurrent_feedback)
        )
        latest: deque[Tensor] = deque(maxlen=self.longest + 1)

        def feedback(s: Tensor) -> Tensor:
            """Store the last spikes, and multiply all spikes that have not arrived yet by the weights of their lag."""
            latest.appendleft(s)
            spikes = torch.cat(list(latest), -1)
            rows = spikes.shape[-1]
            if backward is None:
                return spikes @ forward[:rows]  # type: ignore[index]
            current, back = spikes.detach() @ forward[:rows], backward[:rows]  # type: ignore[index]
            return with_backward_of(current, spikes, lambda spikes: spikes @ back)

        return feedback

    def feedback(self, s: Tensor) -> Tensor:
        """Return zeros, the recurrent current of a layer without recurrence."""
        if self.recurrent is not None:
            raise InputError(f"layer '{self.name}': delays need the spikes of all time steps at once")
        return super().feedback(s)

    def current_of_events(self, signal: Signal) -> Tensor:
        """Compute the current of all steps from the input [T, B, inputs] on a CPU, event by event if possible."""
        from fastspiking.event_delays import Gaussians, delay

        if self.feedback_weight is not None:
            return self.current(dense(signal))
        if self.pool_in is not None or self.dropout is not None:
            signal = self.arriving(dense(signal))
        weight, bias = self.weights_in_use()
        if self.kernel == "gaussian":
            current = delay(signal, weight, bias, Gaussians(self.delays(), self.sigma_steps, self.longest + 1))
        else:
            current = delay(signal, weight[..., None] * self.kernels(), bias)
        if current is None:
            return self.current(dense(signal))
        return self.normalised(current)


class Delayed(Chain):
    """Wires a chain of dense layers with learnt delays, and a readout.

    The Gaussian narrows in training, from the first to the second of `sigma_steps`, by the same factor in each
    epoch. Wide kernels give delays a gradient from distant spikes; narrow ones come close to the delays of a chip.

    Args:
        provided: parts of the run to build from.
        hidden: number of neurons of each hidden layer.
        max_delay_steps: longest delay [steps].
        kernel: "gaussian", "triangle" or "rounded"; see `DelayedLayer`.
        sigma_steps: standard deviation of the Gaussian in the first and in the last epoch, a pair [steps].
        readout_delays: whether the synapses of the readout have delays too.
        bias: whether layers have biases.
        recurrent_delays: whether hidden layers have all-to-all recurrence with delays.

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
        self.sigmas = _sigma_range(sigma_steps)
        options = {"max_delay_steps": max_delay_steps, "kernel": kernel, "bias": bias}
        layers: list[DenseLayer] = [
            DelayedLayer(
                f"hidden{position}", n_in, n_out, provided.make_neuron(n_out), recurrent=recurrent_delays, **options
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
        """Set the Gaussians' standard deviation for this share of training, from 0 to 1."""
        super().advance(progress)
        first, last = self.sigmas
        for layer in self.layers:
            if isinstance(layer, DelayedLayer):
                layer.sigma_steps = first * (last / first) ** progress


def _sigma_range(sigma_steps: object) -> tuple[float, float]:
    """Return the first and the last standard deviation [steps], checked."""
    if isinstance(sigma_steps, str) or not isinstance(sigma_steps, Sequence) or len(sigma_steps) != 2:  # noqa: PLR2004
        raise InputError(f"network.sigma_steps={sigma_steps!r}: two numbers such as [2.0, 0.5] are needed")
    first, last = (require_number("network.sigma_steps", sigma, low=NARROWEST) for sigma in sigma_steps)
    return first, last
