"""Turn the values of a diagnosis into sentences, each with a remedy as overrides or code."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sgbench.diagnosis.flow import NOWHERE, log_slope
from sgbench.errors import shortened
from sgbench.records.diagnosis import Diagnosis, LayerDiagnosis, Outlook

FEWEST_NONZERO = 1e-4  # share of non-zero gradients below which a layer does not learn
VANISHED = 2.0**-23
"""Gradient, relative to the last layer's, below which a layer does not learn: rounding in single precision."""
EARLY_GROWTH = 0.1
"""ln of the gradient's growth per step back in the first half of the steps, above which other networks explode."""
MOST_SILENT, MOST_SATURATED = 0.5, 0.5
"""Shares of neurons that never fire, and that fire in nearly every step, above which advice is given."""
MISLEADING = 0.5
"""Cosine with a reference, or share of steps that lessen the loss, below which a gradient counts as misleading."""


HIGH_PEAK = 5.0
"""Slope times threshold from which an attached reset has cost accuracy; from 1 to here it is not known."""


class Remedies(NamedTuple):
    """Holds the remedy of each problem, as overrides of a run or as code for a module."""

    dead: str
    explodes: str
    silent: str
    saturated: str
    most_silent: float = MOST_SILENT


@dataclass(frozen=True)
class ModuleFacts:
    """Holds what was seen in a user's module besides the values of its layers: names of layers, and why."""

    equal_input: Collection[str] = frozenset()  # all samples bring them the same current
    unheard: Collection[str] = frozenset()  # nothing that the loss depends on takes their spikes
    frozen: Collection[str] = frozenset()  # their weights get no gradient
    attached: Collection[str] = frozenset()  # their reset passes a gradient
    left_out: Mapping[str, str] = field(default_factory=dict)  # why they were not measured


OF_RUNS = Remedies(
    dead="take a surrogate that reaches further (surrogate=fast_sigmoid, or width_fwhm=4), or start louder "
    "(init.gain=1.5)",
    explodes="narrow the surrogate (width_fwhm=0.1), or cut the recurrent gradient (network.recurrence_gradient=cut)",
    silent="start louder (init.gain=1.5), or lower the threshold (neuron.threshold=0.5)",
    saturated="start quieter (init.gain=0.5), or raise the threshold (neuron.threshold=2)",
)
OF_MODULES = Remedies(
    dead="take a surrogate that reaches further, e.g. spike_grad=surrogate.atan(), or begin with weights 1.5 times "
    "as large",
    explodes="narrow the surrogate, e.g. spike_grad=surrogate.fast_sigmoid(slope=25), begin with smaller recurrent "
    "weights, or detach recurrent spikes",
    silent="begin with weights 1.5 times as large, or lower the threshold, e.g. threshold=0.5",
    saturated="begin with weights half as large, or raise the threshold, e.g. threshold=2.0",
    most_silent=0.8,  # of one batch, in which half of the neurons of a healthy start may be silent
)
NOTHING = "nothing stands out: the gradient reaches every layer and does not explode"
Test = Callable[[LayerDiagnosis], bool]


def outlook(layers: Sequence[LayerDiagnosis], *, all_hidden: bool = False, attached: Collection[str] = ()) -> Outlook:
    """Predict whether a training that begins with these gradients explodes, learns nothing ("dead") or is fine.

    Args:
        layers: diagnoses with the panels "flow" and "activity", from input to output.
        all_hidden: whether the last layer is a hidden layer; else it is a readout, which is not judged.
        attached: names of layers whose reset is not detached. Gradient passes through the reset, too, which the
            measured `passing_steps` leave out, so these layers are judged by how their gradient grows.
    """
    hidden = layers if all_hidden or len(layers) == 1 else layers[:-1]
    if any(overflows(layer) for layer in layers) or any(explodes(layer, attached) for layer in hidden):
        return "explodes"
    return "dead" if any(is_cut_off(layer, layers[-1]) for layer in hidden) else "fine"


def why_not_fine(layers: Sequence[LayerDiagnosis], unheard: Collection[str] = ()) -> str:
    """Write why no training is called fine in which a layer sends no spike; empty if all send some.

    Gradient may reach the layer and wake it; until then all samples score alike, as in guessing.

    `layers`: those whose spikes count; `unheard`: names of layers whose spikes nothing takes, so that it does not
    matter whether they fire.
    """
    silent = ", ".join(layer.name for layer in layers if is_silent(layer, unheard))
    return (
        shortened(f"{silent}: no neuron fires, so that all samples score alike until one does", 300) if silent else ""
    )


def is_silent(layer: LayerDiagnosis, unheard: Collection[str] = ()) -> bool:
    """Return whether none of a layer's neurons fires, and others should hear them; see `why_not_fine`."""
    return layer.dead_fraction == 1.0 and layer.name not in unheard


def overflows(layer: LayerDiagnosis) -> bool:
    return "not finite" in layer.reasons.get("grad_norm", "")


def explodes(layer: LayerDiagnosis, attached: Collection[str] = ()) -> bool:
    """Return whether the gradient of a layer grows exponentially back in time; false without recurrent weights.

    If `passing_steps` are known and the reset is detached, it does above the limit of a detached reset. Otherwise
    the growth of the gradient over the first half of the steps decides. `attached`: see `outlook`.
    """
    if layer.recurrent is False:
        return False
    if _is_judged_by_passing_steps(layer, attached):
        return (layer.passing_steps or 0.0) > DETACHED.most
    norms = layer.grad_norm_by_step or ()
    early = log_slope(norms[: len(norms) // 2])
    return early is not None and early > EARLY_GROWTH


def _is_judged_by_passing_steps(layer: LayerDiagnosis, attached: Collection[str]) -> bool:
    return layer.passing_steps is not None and layer.name not in attached


def is_cut_off(layer: LayerDiagnosis, last: LayerDiagnosis) -> bool:
    """Return whether almost no gradient reaches a layer.

    The loss does not depend on the layer, or fewer than one in 10,000 of its gradients by neuron and step is
    non-zero, or their norm is less than 2^-23 of the last layer's.
    """
    is_independent = layer.reasons.get("grad_norm") == NOWHERE
    if is_independent or (layer.nonzero_points is not None and layer.nonzero_points < FEWEST_NONZERO):
        return True
    return layer.grad_norm is not None and layer.grad_norm < VANISHED * (last.grad_norm or 0.0)


def advise(diagnosis: Diagnosis, found: Iterable[str] = (), *, attached: Collection[str] = ()) -> Iterator[str]:
    """Yield sentences of advice: problems found, agreement of gradients, and a word if all is well."""
    problems = [*found, *_sentences(diagnosis.layers, OF_RUNS, attached)]
    yield from problems
    yield from _of_agreement(diagnosis)
    if not problems and {"flow", "activity"} <= set(diagnosis.panels):
        yield NOTHING


def advise_modules(diagnosis: Diagnosis, facts: ModuleFacts) -> Iterator[str]:
    """Yield the advice for a user's own torch network: causes first, then what follows; or that there is none."""
    layers = diagnosis.layers
    apart = {layer.name for layer in layers if layer.reasons.get("grad_norm") == NOWHERE}
    silent = {layer.name for layer in layers if is_silent(layer, facts.unheard)}
    causes: list[tuple[Collection[str], str]] = [
        (
            facts.equal_input,
            "every sample brings the same current, so nothing can be told apart: look at the batch (zeros, whole "
            "numbers divided, one value for all) and at its scale",
        ),
        (
            apart,
            "the loss does not depend on this layer: look for detach(), no_grad, .data or numpy behind it, for "
            "surrogate_disable, or for outputs that are not used",
        ),
        (
            silent,
            "no neuron fires, so nothing is passed on: begin with larger weights or a positive bias, scale the "
            "input up, or lower the threshold, e.g. threshold=0.5",
        ),
    ]
    problems = [_named(layers, names, text) for names, text in causes if names]
    explained = {*apart, *silent}
    others = [layer for layer in layers if layer.name not in explained]
    problems += _sentences(others, OF_MODULES, facts.attached, last=layers[-1], unheard=facts.unheard)
    if facts.frozen:
        problems.append(
            _named(layers, facts.frozen, "all of its weights are frozen (requires_grad=False) and stay as they are")
        )
    yield from problems or [NOTHING]
    if facts.left_out:
        yield "; ".join(f"{name} is left out: {reason}" for name, reason in facts.left_out.items())


def _named(layers: Sequence[LayerDiagnosis], names: Collection[str], text: str) -> str:
    """Write a sentence on the first of the named layers, which says of the others that they are like it."""
    first, *others = [layer.name for layer in layers if layer.name in names]
    likewise = f" (likewise {', '.join(others)})" if others else ""
    return f"{first}{likewise}: {text}"


def _sentences(
    layers: Sequence[LayerDiagnosis],
    remedies: Remedies,
    attached: Collection[str] = (),
    *,
    last: LayerDiagnosis | None = None,
    unheard: Collection[str] = (),
) -> Iterator[str]:
    """Yield a sentence for each kind of problem, with the layers that have it and the remedy.

    `attached`: names of layers with an attached reset. `last`: the layer from which gradients come; None for the last
    of `layers`. `unheard`: names of layers whose spikes reach no other layer, so silence is no problem.
    """
    if not layers:
        return
    end = last or layers[-1]
    kinds: list[tuple[Test, Callable[[LayerDiagnosis], str], str]] = [
        (overflows, lambda _: "the gradient is not finite", remedies.explodes),
        (
            lambda layer: not overflows(layer) and explodes(layer, attached),
            lambda layer: _growth(layer, attached),
            remedies.explodes,
        ),
        (
            lambda layer: not overflows(layer) and is_cut_off(layer, end),
            lambda layer: _reach(layer, end),
            remedies.dead,
        ),
        (
            lambda layer: layer.name not in unheard and (layer.dead_fraction or 0.0) > remedies.most_silent,
            lambda layer: f"{layer.dead_fraction or 0.0:.0%} of its neurons never fire",
            remedies.silent,
        ),
        (
            lambda layer: (layer.saturated_fraction or 0.0) > MOST_SATURATED,
            lambda layer: f"{layer.saturated_fraction or 0.0:.0%} of its neurons fire in more than 90 % of all steps",
            remedies.saturated,
        ),
    ]
    for has_problem, describe, remedy in kinds:
        affected = [layer for layer in layers if has_problem(layer)]
        if affected:
            names = [layer.name for layer in affected]
            yield _named(layers, names, f"{describe(affected[0])}: {remedy}")


def _growth(layer: LayerDiagnosis, attached: Collection[str]) -> str:
    """Say by how much the layer's gradient grows back in time, by the measure that judges this layer."""
    if not _is_judged_by_passing_steps(layer, attached):
        factor = math.exp(min(layer.log_slope_per_step or 0.0, 200.0))
        return f"the gradient grows {factor:.3g} times a step back in time"
    norm = (
        "" if layer.jacobian_norm is None else f", and the Jacobian of a step has a norm of {layer.jacobian_norm:.3g}"
    )
    return (
        f"recurrent spikes pass the gradient on as {layer.passing_steps:.0f} steps of slope 1 would{norm}, so that "
        f"growing weights may multiply it without end"
    )


def _reach(layer: LayerDiagnosis, last: LayerDiagnosis) -> str:
    """Say how much the layer fires, how many potentials the surrogate sees, and how much gradient arrives."""
    parts = []
    if layer.rate_per_step is not None:
        parts.append(f"{layer.rate_per_step:.2g} spikes a neuron and step")
    if layer.in_window_fraction is not None:
        parts.append(f"{1 - layer.in_window_fraction:.0%} of its potentials lie outside the surrogate's window")
    parts.append(f"{layer.nonzero_parameters or 0.0:.1%} of its weights get a gradient")
    if layer.grad_norm and last.grad_norm:
        parts[-1] += f", which is {layer.grad_norm / last.grad_norm:.1g} of the last layer's"
    return ", ".join(parts)


def _of_agreement(diagnosis: Diagnosis) -> Iterator[str]:
    """Yield advice where the gradient disagrees with back-propagation through time, or with the loss itself."""
    for line in diagnosis.agreements or ():
        if line.reference == "bptt" and line.cosine is not None and line.cosine < MISLEADING:
            yield (
                f"{line.layer}: the gradient has a cosine of {line.cosine:.2f} with full back-propagation through "
                f"time: credit over time is lost (rule=bptt keeps it)"
            )
    if diagnosis.falling_steps is not None and diagnosis.falling_steps < MISLEADING:
        yield (
            f"the loss falls with {diagnosis.falling_steps:.0%} of short steps against the gradient: the surrogate "
            f"does not point downhill here, so try another width (width_fwhm=0.5 or width_fwhm=2)"
        )


Level = Literal["fine", "short dependencies only", "fails"]


class LevelBorders(NamedTuple):
    """Holds the borders between the levels of a recurrent network [passing steps]."""

    least: float  # below, the gradient reaches too few steps back
    fine: float  # up to here the network trains well
    most: float  # above, training fails; between `fine` and `most` only short dependencies are learnt

    def level(self, steps: float) -> Level:
        """Return the level of a network with this many passing steps before training, mean over recurrent layers.

        >>> borders = LevelBorders(0.25, 2.0, 22.0)
        >>> [borders.level(steps) for steps in (0.1, 1.0, 8.0, 30.0)]
        ['short dependencies only', 'fine', 'short dependencies only', 'fails']
        """
        if self.least <= steps <= self.fine:
            return "fine"
        return "fails" if steps > self.most else "short dependencies only"


DETACHED = LevelBorders(0.5, 2.0, 22.0)
"""Borders for networks whose reset passes no gradient; `docs/passing_steps/first_study.md` explains their choice
and their errors. With the reset attached, passing steps predict too little."""


def sentence(steps: float) -> str:
    """Write a sentence on the level of a recurrent network whose reset is detached; see `LevelBorders.level`."""
    return (
        f"level by passing steps, reset detached: {DETACHED.level(steps)} ({steps:.2g} steps; fine is "
        f"{DETACHED.least:g} to {DETACHED.fine:g}, above {DETACHED.most:g} fails)"
    )
