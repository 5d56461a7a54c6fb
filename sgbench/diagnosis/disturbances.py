"""Disturbances of a network's input: spikes jittered, deleted, inserted, reversed in time, or in longer steps.

Each `make_...` takes a severity, a generator and the duration of a step [s], used or not. The function it returns
disturbs one batch after another. Random numbers are drawn spike by spike in the order of samples, so that the batch
size does not matter. Steps after a sample's end stay empty.

Legend: T steps, B samples, N channels.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastspiking.signals.spikes import Signal, SparseSpikes, dense
from fastspiking.signals.trajectory import Batch, valid_steps
from sgbench.encoders.base import drawn
from sgbench.errors import InputError
from sgbench.networks.base import Network
from sgbench.neurons.quantity import Decay, Quantity, Threshold

BatchChange = Callable[[Batch], Batch]  # returns a batch with a disturbed input


class Entries(NamedTuple):
    """Holds the non-zero entries of an input, sorted by sample and then by step."""

    step: Tensor  # int64 [entries]
    sample: Tensor  # int64 [entries]
    channel: Tensor  # int64 [entries]
    value: Tensor | None  # [entries], or None if all are 1


def make_jitter(severity: float, generator: torch.Generator, dt_s: float) -> BatchChange:
    """Make a change that moves each spike by a Gaussian time, reflected at both ends of its sample.

    `severity`: standard deviation of the shift [s]; shifts are rounded to whole steps. `generator`: two uniform numbers
    are drawn for each spike (Box and Muller 1958). `dt_s`: duration of a step [s].
    """

    def jitter(batch: Batch) -> Batch:
        events = entries_of(batch.x)
        first, second = torch.rand(len(events.step), 2, generator=generator, dtype=torch.float64).unbind(1)
        normal = (-2 * torch.log1p(-first)).sqrt() * torch.cos(2 * math.pi * second)
        last = (batch.lengths.cpu() - 1)[events.sample]
        moved = (events.step + severity / dt_s * normal).round().abs()  # reflected at step 0
        moved = (last - (last - moved).abs()).clamp(min=0).minimum(last).long()  # and at the last step
        return batch._replace(x=as_signal(events._replace(step=moved), batch.x))

    return jitter


def make_deletion(severity: float, generator: torch.Generator, dt_s: float) -> BatchChange:
    """Make a change that deletes each spike with the probability `severity`.

    With equal generators a higher severity deletes the same spikes and more.
    """

    def delete(batch: Batch) -> Batch:
        events = entries_of(batch.x)
        uniform = torch.rand(len(events.step), generator=generator, dtype=torch.float64)
        return batch._replace(x=as_signal(select_entries(events, uniform >= severity), batch.x))

    return delete


def make_insertion(severity: float, generator: torch.Generator, dt_s: float) -> BatchChange:
    """Make a change that adds spikes uniformly over steps and channels, on average `severity` for each spike.

    Two spikes of a channel in one step become one.
    """

    def insert(batch: Batch) -> Batch:
        events = entries_of(batch.x)
        steps, samples, channels = batch.x.shape
        lengths = batch.lengths.cpu()
        own_spikes = torch.bincount(events.sample, minlength=samples)
        probability = severity * own_spikes / (lengths * channels)
        added = entries_of(drawn(probability[:, None].expand(-1, channels), steps, generator))
        added = select_entries(added, added.step < lengths[added.sample])
        step, sample, channel = (torch.cat(pair) for pair in zip(events[:3], added[:3], strict=True))
        together = Entries(step, sample, channel, events.value)
        if events.value is not None:
            ones = torch.ones(len(added.step), dtype=events.value.dtype)
            together = together._replace(value=torch.cat([events.value, ones]))
        return batch._replace(x=as_signal(together, batch.x))

    return insert


def make_dead_channels(severity: float, generator: torch.Generator, dt_s: float) -> BatchChange:
    """Make a change that silences the share `severity` of the channels, the same ones in all samples.

    With equal generators a higher severity silences the same channels and more.
    """
    seed = int(torch.randint(2**62, (1,), generator=generator))

    def silence(batch: Batch) -> Batch:
        channels = batch.x.shape[2]
        order = torch.randperm(channels, generator=torch.Generator().manual_seed(seed))
        alive = torch.ones(channels, dtype=torch.bool)
        alive[order[: round(severity * channels)]] = False
        events = entries_of(batch.x)
        return batch._replace(x=as_signal(select_entries(events, alive[events.channel]), batch.x))

    return silence


def make_reversal(severity: float, generator: torch.Generator, dt_s: float) -> BatchChange:
    """Make a change that plays each sample backwards in time; it refuses targets of steps."""

    def play_backwards(batch: Batch) -> Batch:
        require_class_targets(batch)
        events = entries_of(batch.x)
        last = (batch.lengths.cpu() - 1)[events.sample]
        inside = select_entries(events._replace(step=last - events.step), events.step <= last)
        return batch._replace(x=as_signal(inside, batch.x))

    return play_backwards


def make_longer_steps(severity: float, generator: torch.Generator, dt_s: float) -> BatchChange:
    """Make a change that sums each `severity` steps of a batch into one; the last one is filled with silence."""
    factor = int(severity)

    def coarsen(batch: Batch) -> Batch:
        require_class_targets(batch)
        x = dense(batch.x)
        x = x * valid_steps(batch.lengths, len(x)).view(*x.shape[:2], *(1 for _ in x.shape[2:]))
        padding = -len(x) % factor
        x = torch.cat([x, torch.zeros_like(x[:1]).expand(padding, *x.shape[1:])]) if padding else x
        x = x.unflatten(0, (-1, factor)).sum(1)
        lengths = torch.div(batch.lengths + factor - 1, factor, rounding_mode="floor")
        return batch._replace(x=SparseSpikes.of(x) if isinstance(batch.x, SparseSpikes) else x, lengths=lengths)

    return coarsen


def require_class_targets(batch: Batch) -> None:
    if batch.target.ndim != 1:
        raise InputError("each step has a target of its own, which fits no other step")


def entries_of(x: Signal) -> Entries:
    """List the non-zero entries of an input [T, B, N], on the CPU and in the order of samples."""
    events = (x if isinstance(x, SparseSpikes) else SparseSpikes.of(x)).to("cpu")
    rows, samples = events.rows(), events.shape[1]
    step, sample = torch.div(rows, samples, rounding_mode="floor"), rows % samples
    return select_entries(Entries(step, sample, events.index.long(), events.value), torch.argsort(sample, stable=True))


def select_entries(events: Entries, selected: Tensor) -> Entries:
    """Select entries by a mask [entries] or by their indices."""
    value = None if events.value is None else events.value[selected]
    return Entries(events.step[selected], events.sample[selected], events.channel[selected], value)


def as_signal(events: Entries, like: Signal) -> Signal:
    """Convert entries to an input with the shape, type and device of another.

    Values of equal step, sample and channel add up; several spikes become one.
    """
    _, samples, channels = like.shape
    position = (events.step * samples + events.sample) * channels + events.channel
    used, inverse = torch.unique(position, return_inverse=True)
    value = None
    if events.value is not None:
        value = torch.zeros(len(used), dtype=events.value.dtype).index_add_(0, inverse, events.value)
    row = torch.div(used, channels, rounding_mode="floor")
    shape = (like.shape[0], samples, channels)
    signal = SparseSpikes.from_rows(row, used % channels, value, shape, like.dtype).to(like.device)
    return signal if isinstance(like, SparseSpikes) else signal.dense()


LOWEST_THRESHOLD = 0.05  # least factor on a neuron's threshold, which must stay above 0


def weights(network: Network) -> list[nn.Parameter]:
    """Return the network's weights, without the parameters of its neurons and learnt feedback."""
    own = {id(parameter) for layer in network.layers for parameter in layer.neuron.parameters()}  # type: ignore[union-attr, operator]
    own |= {id(parameter) for parameter in network.learnt_feedback}
    return [parameter for parameter in network.parameters() if id(parameter) not in own]


@torch.no_grad()
def with_bits(network: Network, severity: float, generator: torch.Generator) -> Network:
    r"""Round the weights of each tensor to b bits, evenly spaced and symmetric about 0.

    .. math:: w \mapsto q \, \mathrm{round}(w / q), \qquad q = \max|w| \,/\, (2^{b - 1} - 1)

    Source: Krishnamoorthi 2018, arXiv:1806.08342, section 2: symmetric uniform quantisation after training.
    """
    copied = copy.deepcopy(network)
    levels = 2 ** (int(severity) - 1) - 1
    for weight in weights(copied):
        quantum = weight.abs().max() / levels
        if quantum > 0:
            weight.copy_((weight / quantum).round() * quantum)
    return copied


@torch.no_grad()
def with_noise(network: Network, severity: float, generator: torch.Generator) -> Network:
    """Copy the network and add normal noise to each weight, `severity` times the root mean square of its tensor."""
    copied = copy.deepcopy(network)
    for weight in weights(copied):
        drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        weight.add_(severity * weight.square().mean().sqrt() * drawn.to(weight))
    return copied


@torch.no_grad()
def with_mismatch(network: Network, severity: float, generator: torch.Generator) -> Network:
    """Multiply the threshold of each neuron by a Gaussian factor of mean 1."""
    copied = copy.deepcopy(network)
    layers: list[Any] = [
        layer for layer in copied.layers if isinstance(getattr(layer.neuron, "threshold", None), Threshold)
    ]
    if not layers:
        raise InputError("no neurons of this network have a threshold that could differ")
    for layer in layers:
        factor = 1 + severity * torch.randn(layer.neurons, generator=generator, dtype=torch.float64)
        own = torch.as_tensor(layer.neuron.threshold(), dtype=torch.float64).cpu()
        values = (own * factor.clamp(min=LOWEST_THRESHOLD)).to(layer.weight)
        layer.neuron.threshold = fixed(layer.neuron.threshold, values)
    return copied


@torch.no_grad()
def with_longer_steps(network: Network, severity: float, generator: torch.Generator) -> Network:
    r"""Let leaky neurons decay in one step as before in k steps, :math:`\beta \mapsto \beta^k`."""
    copied = copy.deepcopy(network)
    layers: list[Any] = list(copied.layers)
    for layer in layers:
        neuron = layer.neuron
        quantities = {name: quantity for name, quantity in neuron.named_children() if isinstance(quantity, Quantity)}
        gain = getattr(neuron, "input_gain", None)
        is_leaky = all(isinstance(quantity, Decay | Threshold) for quantity in quantities.values())
        if neuron.recurrence_spec() is None or not is_leaky or layer.taps or not quantities:
            raise InputError(f"layer '{layer.name}': only leaky neurons are defined by decays in longer steps")
        if gain is not None and gain.kind != "one":
            raise InputError(f"layer '{layer.name}': input_gain={gain.kind} changes with the step; it needs one")
        for name, quantity in quantities.items():
            if isinstance(quantity, Decay):
                setattr(neuron, name, fixed(quantity, quantity() ** int(severity)))
    return copied


def fixed(quantity: Quantity, value: Tensor | float) -> Quantity:
    """Return a quantity of the same kind and name that is not learnt.

    `quantity`: the neuron's decay or threshold; `value`: the new value, one number for the layer or one for each neuron
    [N].
    """
    options: dict[str, Any] = {"learn": "none", "features": None}
    if isinstance(value, Tensor) and value.ndim == 0:
        value = float(value)
    first = float(torch.as_tensor(value).flatten()[0])
    constant = (
        Threshold(first, **options)
        if isinstance(quantity, Threshold)
        else type(quantity)(quantity.name, first, **options)  # type: ignore[arg-type]
    )
    constant.spread = value if isinstance(value, Tensor) else None
    return constant
