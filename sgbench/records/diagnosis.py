"""The results of a diagnosis of a network's gradients: each value, or the reason why it is missing."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints, model_validator

from sgbench.records.base import Amount, Fraction, Natural, Number, Positive, Strict, Text

PANELS = ("agreement", "flow", "activity")
Panel = Literal["agreement", "flow", "activity"]
MOST_STEPS = 200
"""Steps of which a norm is kept; of longer sequences so many are taken, evenly spaced."""
WhichWeights = Annotated[str, StringConstraints(pattern=r"^(initial|selected|given|epoch [0-9]{1,6})$")]
Reason = Annotated[Text, Field(min_length=1, max_length=300)]
Cosine = Annotated[float, Field(ge=-1, le=1)]
Outlook = Literal["fine", "dead", "explodes"]


class Reasoned(Strict):
    """Holds values that may be missing, each with the reason why it is."""

    OPTIONAL: ClassVar[frozenset[str]] = frozenset()  # fields that may be missing without a reason
    reasons: dict[str, Reason] = Field(default_factory=dict)
    """By field: why it is null."""

    @model_validator(mode="after")
    def _reasons_match_nulls(self) -> Reasoned:
        """Require a reason for each value that is null, and for no other."""
        fields = set(type(self).model_fields) - {"reasons"} - self.OPTIONAL
        missing = {name for name in fields if getattr(self, name) is None}
        if missing != set(self.reasons):
            wrong = ", ".join(sorted(missing ^ set(self.reasons)))
            raise ValueError(f"a value is null exactly where a reason is given; not so of {wrong}")
        return self


class LayerDiagnosis(Reasoned):
    """Holds the flow of the gradient through one layer, and the layer's activity."""

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"passing_steps"})

    name: Text = Field(max_length=100)
    neurons: Positive
    recurrent: bool | None
    """Whether the layer's neurons hear each other."""
    grad_norm: Amount | None
    """L2 norm of dL/dI over samples, steps and neurons; I is the current into the neurons, L the mean loss."""
    grad_norm_by_step: tuple[Amount, ...] | None = Field(max_length=MOST_STEPS)
    """The same of single steps, the first step first."""
    log_slope_per_step: Number | None
    """Slope of ln |dL/dI[t]| by steps back in time; above 0 the gradient grows on its way back [1/step]."""
    nonzero_parameters: Fraction | None
    """Share of the layer's weights with a gradient other than 0."""
    nonzero_points: Fraction | None
    """Share of all (sample, step, neuron) with a dL/dI other than 0."""
    gradient_dead_fraction: Fraction | None
    """Share of neurons whose dL/dI is 0 in every step of every sample."""
    signal_to_noise: Amount | None
    """`|mean|^2` over the summed variance of the gradient of the layer's weights between mini-batches [1]."""
    jacobian_norm: Amount | None
    """Mean spectral norm of the Jacobian from the state of one step to the next."""
    jacobian_radius: Amount | None
    """Mean spectral radius of the same."""
    in_window_fraction: Fraction | None
    """Share of potentials at which the surrogate's slope is above 1 % of its peak."""
    mean_slope: Fraction | None
    """Mean of the surrogate's slope at the potentials, by its peak."""
    passing_steps: Amount | None = None
    """Sum of the surrogate's slopes over the steps of a sample, through which recurrent spikes pass the gradient
    on; 0 where none do. Null where the slopes are not measured, or by a version that did not."""
    rate_per_step: Amount | None
    """Spikes of a neuron in a step."""
    dead_fraction: Fraction | None
    """Share of neurons without one spike."""
    saturated_fraction: Fraction | None
    """Share of neurons that fire in more than 90 % of all steps."""


class Agreement(Reasoned):
    """Says how near the gradient of one layer's weights comes to another gradient."""

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"step_size"})

    layer: Text = Field(max_length=100)
    reference: Literal["bptt", "relaxed", "finite_difference", "enumeration", "score_function"]
    step_size: Amount | None = None
    """Of finite differences: the step by the norm of the layer's weights; null for other references."""
    cosine: Cosine | None
    norm_ratio: Amount | None
    """Norm of the gradient by that of the reference."""
    sign_agreement: Fraction | None
    """Share of entries of the same sign, two zeros included."""
    relative_bias: Amount | None
    """Norm of the difference by that of the reference."""


class Loop(Strict):
    """Holds the integral of a gradient around a closed loop of weights: 0 for the gradient of any function."""

    integral: Number
    path: Amount
    """The integral of the absolute value along the same loop, for comparison."""


class LinePoint(Strict):
    """Describes one point between two sets of weights, w(alpha) = (1 - alpha) w_first + alpha w_second."""

    alpha: Number
    loss: Number | None
    surrogate_slope: Number | None
    """dL/dalpha by the surrogate gradient."""
    macroscopic_slope: Number | None
    """dL/dalpha by the differences of the loss to the neighbouring points."""


class Diagnosis(Reasoned):
    """Holds what was found in one network with one set of weights."""

    OPTIONAL: ClassVar[frozenset[str]] = frozenset({"split"})

    weights: WhichWeights
    split: Literal["train", "validation"] | None
    """Null for samples that somebody gave."""
    samples: Natural
    panels: tuple[Panel, ...]
    loss: Number | None
    log_slope_per_layer: Number | None
    """Slope of ln |dL/dI| by layers back from the readout [1/layer]."""
    layers: tuple[LayerDiagnosis, ...]
    agreements: tuple[Agreement, ...] | None
    falling_steps: Fraction | None
    """Share of short steps against the gradient, one for each mini-batch, with which its loss falls."""
    loop: Loop | None
    line: tuple[LinePoint, ...] | None = Field(max_length=1001)
    outlook: Outlook | None
    """What training is expected to come to."""
    advice: tuple[Annotated[Text, Field(max_length=600)], ...]
