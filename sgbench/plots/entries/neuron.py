"""Draws a neuron: its responses to a step of current and to a spike train, and its rate over the current."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from sgbench.neurons.base import Neuron
from sgbench.neurons.sequence import SequenceNeuron
from sgbench.plots.style import BLUE, GREEN, ORANGE, PURPLE, SKY, SOFT, VERMILION

PICTURE_STEPS, RATE_STEPS = 120, 300  # of a picture, and of a measured rate, unless the neuron's weights fix them
ON_FROM, ON_UNTIL = 0.12, 0.7  # share of the steps at which the current begins and ends
PERIOD = 5  # steps between the spikes of a train
RATE_POINTS = 41  # currents at which a rate is measured
HIGHEST_CURRENT = 8.0  # largest current of a rate, in units of the least that makes the neuron fire
FEW_SPIKES = 4  # least spikes in a picture, if the neuron can send as many
NOT_DRAWN = ("u", "s")  # fields of a state that have panels of their own: potential and spikes


class Response(NamedTuple):
    """Holds the response of one neuron over time, [T] each."""

    current: Tensor
    sent: Tensor  # output
    potential: Tensor  # relative to the threshold if the state has no potential
    threshold: Tensor | None  # effective threshold
    others: dict[str, Tensor]  # other variables of its state


class Rates(NamedTuple):
    """Holds the output of a neuron for constant currents [B]."""

    current: Tensor
    sent: Tensor  # mean output per step


def steps_of(neuron: Neuron, wanted: int) -> int:
    """Return the number of time steps to simulate: `wanted`, or the length of the neuron's weights over time."""
    fixed = getattr(neuron, "steps", None) if isinstance(neuron, SequenceNeuron) else None
    return fixed if isinstance(fixed, int) else wanted


@torch.no_grad()
def run_neurons(neuron: Neuron, current: Tensor) -> tuple[Tensor, list[Any]]:
    """Run B copies of a neuron on currents [T, B]; return outputs [T, B] and a state for each step.

    In the states of a sequence neuron only potential and output are those of the step, the rest is of the last one.
    """
    currents = current[..., None].repeat_interleave(neuron.currents, dim=-1)  # [T, B, currents of one neuron]
    surrogate = getattr(neuron, "surrogate", None)
    if surrogate is not None:
        surrogate.generator = torch.Generator().manual_seed(0)  # random spikes are the same in every picture
    if isinstance(neuron, SequenceNeuron):
        outputs, potentials, last = neuron.unroll(currents)
        return outputs[..., 0], [last._replace(u=u, s=s) for u, s in zip(potentials, outputs, strict=True)]
    state, outputs, states = neuron.initial_state(currents[0]), [], []
    for step_currents in currents:
        output, state = neuron.step(step_currents, state)
        outputs.append(output[..., 0])
        states.append(state)
    return torch.stack(outputs), states


def response(neuron: Neuron, current: Tensor) -> Response:
    """Compute the response of one neuron to a current [T]."""
    sent, states = run_neurons(neuron, current[:, None])
    centred = torch.stack([neuron.centred(state).reshape(-1)[0] for state in states])
    variables: dict[str, Tensor] = {}  # of the state [T]
    for field in states[0]._fields:
        values = torch.stack([getattr(state, field).flatten() for state in states])  # [T, branches of the neuron]
        if values.shape[1] == 1:
            variables[field] = values[:, 0]
        else:
            variables |= {f"{field} {branch}": values for branch, values in enumerate(values.unbind(1), start=1)}
    potential = centred if isinstance(neuron, SequenceNeuron) else variables.get("u", centred)
    threshold = potential - centred
    has_threshold = neuron.output == "binary" and bool((threshold > 0).all())
    others = {name: values for name, values in variables.items() if name not in NOT_DRAWN}
    return Response(current, sent[:, 0], potential, threshold if has_threshold else None, others)


def step_current(neuron: Neuron) -> Tensor:
    """Make a step of current [T] that is large enough for the neuron to fire several times."""
    is_on = _on_window(steps_of(neuron, PICTURE_STEPS))
    return is_on * least_current(neuron, is_on)


def spike_train(neuron: Neuron) -> Tensor:
    """Make a regular spike train [T], weighted so that the neuron fires several times."""
    is_on = _on_window(steps_of(neuron, PICTURE_STEPS))
    train = is_on * (torch.arange(len(is_on)) % PERIOD == 0)
    return train * least_current(neuron, train)


def _on_window(steps: int) -> Tensor:
    """Return 1 at the time steps at which the current is on, and 0 at others [steps]."""
    time = torch.arange(steps)
    return ((time >= ON_FROM * steps) & (time < ON_UNTIL * steps)).float()


def least_current(neuron: Neuron, shape: Tensor) -> float:
    """Find the least factor on a current `shape` [T] with which the neuron fires `FEW_SPIKES` times.

    If it never fires as often, the least factor with which it fires once; 1 if it never fires.
    """
    if neuron.output == "real":
        return 1.0
    factors = torch.logspace(-3, 4, 176)
    outputs, _ = run_neurons(neuron, shape[:, None] * factors)
    counts = (outputs != 0).sum(0)  # spikes for each factor
    for least in (FEW_SPIKES, 1):
        reached = (counts >= least).nonzero().flatten()
        if len(reached):
            return float(factors[reached[0]])
    return 1.0


def mean_rates(neuron: Neuron) -> Rates:
    """Compute the mean output per step for each of several constant currents."""
    steps = steps_of(neuron, RATE_STEPS)
    current = torch.linspace(0, HIGHEST_CURRENT * least_current(neuron, torch.ones(steps)), RATE_POINTS)
    sent, _ = run_neurons(neuron, current.expand(steps, -1))
    return Rates(current, sent.mean(0))


STATE_COLOURS = (GREEN, PURPLE, SKY, ORANGE)
FORMULA_WIDTH = 120  # characters of a formula
STIMULI = ("a step of current", "a train of spikes")
OUTPUT_LABELS = {"binary": "spikes", "signed": "signed spikes", "integer": "spike counts", "real": "output"}


@dataclass(frozen=True)
class NeuronPicture:
    """Holds the responses and rates in the picture of a neuron."""

    name: str
    formula: str
    potential_label: str
    sent_label: str
    is_binary: bool  # whether it sends one spike or none
    responses: tuple[Response, Response]  # to each of `STIMULI`
    rate: Rates


@torch.no_grad()
def neuron_picture(name: str, neuron: Neuron, formula: str = "") -> NeuronPicture:
    """Compute a neuron's responses to a step of current and to spikes, and its mean output by constant current."""
    responses = (response(neuron, step_current(neuron)), response(neuron, spike_train(neuron)))
    is_sequence = isinstance(neuron, SequenceNeuron)
    return NeuronPicture(
        name=name,
        formula=formula,
        potential_label="potential \u2212 threshold" if is_sequence else "potential u",
        sent_label=OUTPUT_LABELS[neuron.sends],
        is_binary=neuron.sends == "binary",
        responses=responses,
        rate=mean_rates(neuron),
    )


def neuron_figure(picture: NeuronPicture) -> Figure:
    """Draw the responses over time in two columns, and the mean output over the constant current in a third."""
    figure = Figure(figsize=(11.5, 6.0), layout="constrained")
    heights = (1, 3, 1, 1.6) if picture.responses[0].others else (1, 3, 1)
    grid = figure.add_gridspec(len(heights), 3, height_ratios=heights, width_ratios=(1.15, 1.15, 0.9))
    labels = ("input", picture.potential_label, picture.sent_label, "state")
    for column, (title, shown) in enumerate(zip(STIMULI, picture.responses, strict=True)):
        panels = [figure.add_subplot(grid[row, column]) for row in range(len(heights))]
        panels[0].set_title(title)
        _draw_response(panels, shown, labels if column == 0 else ())
    _draw_rate(figure.add_subplot(grid[:, 2]), picture)
    formula = textwrap.fill(picture.formula, FORMULA_WIDTH)
    figure.suptitle(f"{picture.name}\n{formula}", fontsize=11)
    return figure


def _draw_response(panels: Sequence[Axes], response: Response, labels: Sequence[str]) -> None:
    """Draw one response: input, potential with threshold, output, and other states, one panel above the other."""
    times = np.arange(len(response.current))
    panels[0].plot(times, response.current, drawstyle="steps-mid", color=SOFT, linewidth=1.5)
    panels[1].plot(times, response.potential, color=BLUE, linewidth=1.8)
    if response.threshold is not None:
        panels[1].plot(times, response.threshold, color=SOFT, linestyle="--", linewidth=1.2)
        panels[1].annotate(
            "threshold", (times[-1], float(response.threshold[-1])), (0, 3), textcoords="offset points",
            ha="right", fontsize=9, color=SOFT,
        )  # fmt: skip
    _draw_sent(panels[2], response.sent)
    if response.others:
        _draw_states(panels[3], response.others)
    for panel in panels:
        panel.set_xlim(0, len(times) - 1)
        panel.tick_params(labelsize=9, labelbottom=panel is panels[-1])
    for panel, label in zip(panels, labels, strict=False):
        panel.set_ylabel(label, fontsize=10)
    panels[-1].set_xlabel("time step", fontsize=10)


def _draw_sent(panel: Axes, output: Tensor) -> None:
    """Draw the outputs [T] as vertical bars, all in one plotted line with gaps."""
    values = output.numpy()
    (steps,) = np.nonzero(values)
    gaps = np.full_like(values[steps], np.nan)
    bars = np.stack([np.zeros_like(gaps), values[steps], gaps], 1)  # bottom, top, and a gap to the next bar
    panel.plot(steps.repeat(3), bars.ravel(), color=VERMILION, linewidth=1.8)
    panel.axhline(0, color=SOFT, linewidth=0.6)
    panel.set_yticks([])


def _draw_states(panel: Axes, states: dict[str, Tensor]) -> None:
    """Draw the other state variables over time; `states` maps their names to values [T]."""
    for (name, values), colour in zip(states.items(), STATE_COLOURS, strict=False):
        panel.plot(np.arange(len(values)), values, color=colour, linewidth=1.5, label=name)
    low, high = panel.get_ylim()
    panel.set_ylim(low, high + 0.5 * (high - low))  # room for the names
    panel.legend(frameon=False, fontsize=9, loc="upper left", ncols=4, borderaxespad=0)


def _draw_rate(axes: Axes, picture: NeuronPicture) -> None:
    """Draw the mean output per step over the constant current."""
    axes.plot(picture.rate.current, picture.rate.sent, color=VERMILION, linewidth=2)
    axes.set_title("rate by constant current")
    axes.set_xlabel("current", fontsize=10)
    axes.set_ylabel(f"{picture.sent_label} per step, in the mean", fontsize=10)
    axes.tick_params(labelsize=9)
    axes.set_xlim(0, float(picture.rate.current[-1]))
    axes.locator_params(axis="x", nbins=5)
    if picture.is_binary:
        axes.set_ylim(0, max(0.05, 1.08 * float(picture.rate.sent.max())))
