"""Compare a gradient with reference gradients that are computed in other ways.

Legend: P weights of a layer.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from fastspiking.signals.trajectory import Batch
from sgbench.diagnosis.flow import weights_gradient
from sgbench.diagnosis.relaxed import relaxed
from sgbench.diagnosis.traces import on_the_reference
from sgbench.errors import InputError
from sgbench.networks.base import Network, surrogates
from sgbench.records.diagnosis import Agreement
from sgbench.rules.base import LearningRule, Objective

Gradients = dict[str, Tensor]  # maps the name of each layer to the gradient of its weights [P]
Reference = Literal["bptt", "relaxed", "finite_difference", "enumeration", "score_function"]
MEASURES = ("cosine", "norm_ratio", "sign_agreement", "relative_bias")
STEP_SIZE = 0.05  # step of finite differences, relative to the norm of a layer's weights
DIRECTIONS = 24  # count of random directions of finite differences in a layer with more weights


def compare(gradient: Tensor, reference: Tensor) -> tuple[dict[str, float], str]:
    r"""Compare two gradients g and r of the same weights.

    .. math::
        \frac{g \cdot r}{|g| |r|}, \quad \frac{|g|}{|r|}, \quad
        \frac{1}{P} \sum_i [\mathrm{sign}\, g_i = \mathrm{sign}\, r_i], \quad \frac{|g - r|}{|r|}

    `gradient`: g [P]; `reference`: r [P]. Returns the values by their field name in `Agreement`, and the reason why
    others are missing, or "".

    >>> values, _ = compare(torch.tensor([3.0, 4.0]), torch.tensor([6.0, 8.0]))
    >>> values["cosine"], values["norm_ratio"], values["sign_agreement"], values["relative_bias"]
    (1.0, 0.5, 1.0, 0.5)
    """
    gradient, reference = gradient.double(), reference.double()
    if not bool(gradient.isfinite().all()) or not bool(reference.isfinite().all()):
        return {}, "one of the two gradients is not finite"
    values = {"sign_agreement": (gradient.sign() == reference.sign()).double().mean().item()}
    size, wanted = gradient.norm().item(), reference.norm().item()
    if wanted == 0:
        return values, "the reference is zero"
    values |= {"norm_ratio": size / wanted, "relative_bias": (gradient - reference).norm().item() / wanted}
    if size == 0:
        return values, "the gradient is zero"
    cosine = (gradient / size @ (reference / wanted)).item()
    return values | {"cosine": min(1.0, max(-1.0, cosine))}, ""


def agreement(
    layer: str, reference: Reference, gradient: Tensor, wanted: Tensor, *, step_size: float | None = None
) -> Agreement:
    """Compare a gradient of the layer named `layer` [P] with `wanted`, its reference gradient [P].

    `reference` is how that was computed. `step_size` is that of finite differences, relative to the norm of the
    layer's weights; None for other references.
    """
    values, reason = compare(gradient, wanted)
    reasons = {name: reason for name in MEASURES if name not in values}
    filled = {name: values.get(name) for name in MEASURES}
    return Agreement(layer=layer, reference=reference, step_size=step_size, reasons=reasons, **filled)  # type: ignore[arg-type]


def missing(reference: Reference, reason: str) -> Agreement:
    """Build a line of the diagnosis that states why a reference does not exist."""
    return Agreement(
        layer="all", reference=reference, **dict.fromkeys(MEASURES), reasons=dict.fromkeys(MEASURES, reason)
    )


def agreements(
    reference: Reference,
    gradients: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    step_size: float | None = None,
) -> list[Agreement]:
    """Compare the gradient of each layer with its reference gradient; layers without weights are left out.

    `reference`: how the reference gradients were computed. `gradients`: map each layer's name to the gradient of its P
    weights [P]. `wanted`: map each layer's name to its reference gradient [P]. `step_size`: step of finite differences,
    relative to the norm of the layer's weights; None for references that are computed otherwise.
    """
    return [
        agreement(name, reference, gradients[name], wanted_gradient, step_size=step_size)
        for name, wanted_gradient in wanted.items()
        if wanted_gradient.numel()
    ]


def rule_gradients(network: Network, rule: LearningRule, batches: Sequence[Batch], objective: Objective) -> Gradients:
    """Compute a learning rule's mean gradient over batches; several gradients within a batch are summed.

    A copy of the network runs with the initial weights throughout.
    """
    copied = copy.deepcopy(network)
    layers: list[Any] = list(copied.layers)
    total = {layer.name: weights_gradient(layer) * 0 for layer in layers}
    for batch in batches:
        copied.zero_grad()
        for _ in rule.gradients(copied, batch, objective):
            for layer in layers:
                total[layer.name] += weights_gradient(layer) / len(batches)
            copied.zero_grad()
    return total


def layer_gradients(network: Network) -> Gradients:
    return {layer.name: weights_gradient(layer) for layer in network.layers}  # type: ignore[misc]


def bptt_gradients(network: Network, batches: Sequence[Batch], objective: Objective) -> Gradients:
    """Compute the mean gradient over batches by back-propagation through all steps of a copy of the network."""
    copied = on_the_reference(network)
    copied.zero_grad()
    for batch in batches:
        trajectory = copied.unroll(batch.x, batch.lengths, keep=objective.keep)
        loss = objective.whole(trajectory, batch.target) / len(batches)
        if loss.requires_grad:
            loss.backward()
    return layer_gradients(copied)


def relaxed_gradients(network: Network, batches: Sequence[Batch], objective: Objective) -> Gradients:
    """Compute the mean gradient of a smooth copy of the network, whose spikes are the surrogate's primitive."""
    return bptt_gradients(relaxed(network), batches, objective)


class LossAt:
    """Computes the mean loss of a network over batches, with the same random spikes in each call.

    The attribute `network` is a copy, whose weights may be changed between calls.
    """

    def __init__(self, network: Network, batches: Sequence[Batch], objective: Objective) -> None:
        self.network = copy.deepcopy(network)
        self.batches = batches
        self.objective = objective
        self.noise = [surrogate.noise_state.clone() for surrogate in surrogates(self.network)]

    @torch.no_grad()
    def __call__(self) -> float:
        """Compute the mean loss with the current weights of `network`."""
        for surrogate, state in zip(surrogates(self.network), self.noise, strict=True):
            surrogate.noise_state = state.clone()
        total = 0.0
        for batch in self.batches:
            trajectory = self.network.unroll(batch.x, batch.lengths, keep=self.objective.keep)
            total += self.objective.whole(trajectory, batch.target).item() / len(self.batches)
        return total


def probe(
    loss_at: LossAt, gradients: Mapping[str, Tensor], generator: torch.Generator, *, step_size: float
) -> list[Agreement]:
    r"""Compare each layer's gradient g with finite differences of the loss L along random directions d.

    .. math:: g \cdot d \quad \text{and} \quad \frac{L(w + \epsilon d) - L(w - \epsilon d)}{2 \epsilon},
              \qquad \epsilon = \text{step\_size} \, |w|, \quad |d| = 1

    where w are the layer's weights. A layer of up to 24 weights is probed along each of them instead, so that the
    slopes are the entries of the gradient. Layers without weights are left out.

    `loss_at`: computes L; its weights are as before when this returns. `gradients`: map each layer's name to g [P].
    `generator`: draws the directions. `step_size`: relative to the norm of a layer's weights.
    """
    comparisons = []
    layers: list[Any] = list(loss_at.network.layers)
    for layer in layers:
        parameters = list(layer.parameters())
        size = sum(parameter.numel() for parameter in parameters)
        if size == 0:
            continue
        directions = torch.randn(DIRECTIONS, size, generator=generator, dtype=torch.float64)
        if size <= DIRECTIONS:
            directions = torch.eye(size, dtype=torch.float64)
        directions = directions / directions.norm(dim=1, keepdim=True)
        start = as_vector(parameters)
        epsilon = step_size * (start.norm().item() or 1.0)

        def shifted_loss(offset: Tensor, start: Tensor = start, parameters: Any = parameters) -> float:
            put(parameters, start + offset)
            return loss_at()

        differences = [
            (shifted_loss(epsilon * direction) - shifted_loss(-epsilon * direction)) / (2 * epsilon)
            for direction in directions
        ]
        put(parameters, start)
        wanted = torch.tensor(differences, dtype=torch.float64)
        slopes = directions @ gradients[layer.name].cpu()
        comparisons.append(agreement(layer.name, "finite_difference", slopes, wanted, step_size=step_size))
    return comparisons


def layer_weights(network: Network) -> list[Tensor]:
    return [weight for layer in network.layers for weight in layer.parameters()]


def as_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Join weights into one vector [P], in double precision on the CPU."""
    return torch.cat([parameter.detach().double().flatten().cpu() for parameter in parameters])


@torch.no_grad()
def put(parameters: Iterable[Tensor], values: Tensor) -> None:
    """Overwrite weights by the entries of a vector [P], as `as_vector` orders them."""
    first = 0
    for parameter in parameters:
        part = values[first : first + parameter.numel()].to(parameter)
        parameter.copy_(part.view(parameter.shape))
        first += parameter.numel()


def or_missing(reference: Reference, make: Callable[[], list[Agreement]]) -> list[Agreement]:
    """Return the comparisons that `make` builds; if it raises an InputError, return one line with that reason."""
    try:
        return make()
    except InputError as error:
        return [missing(reference, str(error))]
