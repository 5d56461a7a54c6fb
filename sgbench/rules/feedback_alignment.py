"""Back-propagation through time with fixed random weights in the backward pass."""

from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.errors import require_number
from sgbench.networks.base import Network
from sgbench.networks.layers import DenseLayer, Layer
from sgbench.rules.apart import require_chain
from sgbench.rules.base import Claim, LearningRule, Objective, Progress
from sgbench.rules.demand import Demand, Sizes

DEEP = ("network.hidden=[6,5]", "network.recurrence=all_to_all")


class FeedbackAlignment(LearningRule):
    r"""Sends errors back through layers and steps by fixed random weights in place of W and V.

    .. math:: \frac{dL}{ds^l[t]} := B^{l+1\,\top} \frac{dL}{dI^{l+1}[t]} + C^{l\,\top} \frac{dL}{dI^l[t+1]},
        \qquad \frac{dL}{dW^l} = \sum_t \frac{dL}{dI^l[t]} \, s^{l-1}[t]^\top

    for the currents I and spikes s of layer l, forward weights W and recurrent weights V. B has the shape of W, C
    that of V. Both are normal, with a standard deviation of `gain` times the root mean square of the weights that
    they replace. The forward pass and the backward pass within neurons are those of back-propagation.

    Args:
        gain: standard deviation of the feedback weights over the root mean square of the initial weights, above 0.

    Raises:
        InputError: layers that form no chain, or a gain that is not above 0.

    Source: Lillicrap, Cownden, Tweed & Akerman 2016, Nature Communications 7:13276; in spiking networks Neftci,
    Mostafa & Zenke 2019, section V-A.

    >>> import sgbench
    >>> sgbench.create("rule/feedback_alignment", gain=0.5).gain  # of a run: rule.gain=0.5
    0.5
    """

    exact_reference: ClassVar[Claim] = Claim("feedback_alignment", DEEP)
    must_differ_from: ClassVar[Claim] = Claim("bptt", DEEP, weights="hidden")

    def __init__(self, *, gain: float) -> None:
        self.gain = require_number("rule.gain", gain, low=0, open_low=True)

    def begin(self, network: Network, generator: torch.Generator) -> None:
        require_chain("feedback_alignment", network)
        for position, layer in enumerate([*network.hidden_layers, network.readout]):
            if position > 0:
                layer.feedback_weight = self._draw(layer, "weight", generator)
            if layer.recurrent is not None and not layer.cut:
                layer.recurrent_feedback = self._draw(layer, "recurrent", generator)

    def _draw(self, layer: Layer, name: str, generator: torch.Generator) -> Tensor:
        """Draw feedback weights for a layer's "weight" or "recurrent", 0 where those are masked."""
        weight = getattr(layer, name).detach()
        normal = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        drawn = self.gain * weight.square().mean().sqrt() * normal
        mask = None
        if isinstance(layer, DenseLayer):
            mask = layer.mask if name == "weight" else layer.recurrent_mask
        return drawn if mask is None else drawn * mask

    def demand(self, network: Network, sizes: Sizes) -> Demand:
        """Count as for back-propagation, but no synapse needs the weights of others."""
        return Demand(
            numbers=sizes.steps * sizes.states,
            weight_products=sizes.synapses,
            error_products=sizes.between + sizes.crossed_within,
            needs=("errors_of_others", "future"),
        )

    def gradients(self, network: Network, batch: Batch, objective: Objective) -> Iterator[Progress]:
        """Back-propagate; engines use the feedback weights that `begin` added to the layers. Yield once."""
        trajectory = network.unroll(batch.x, batch.lengths, keep=objective.keep)
        loss = objective.whole(trajectory, batch.target)
        loss.backward()
        yield Progress(loss.detach(), trajectory)
