"""The fields of the record of one run."""

import re
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field, StringConstraints

from sgbench.records.base import (
    MAX_WHOLE,
    Amount,
    Commit,
    Fraction,
    Grown,
    MethodId,
    Natural,
    Number,
    Positive,
    Sha256,
    Strict,
    Text,
    Time,
    Version,
    truth,
)
from sgbench.records.calibration import Calibration
from sgbench.records.counts import OpCounts
from sgbench.records.diagnosis import Cosine, Diagnosis
from sgbench.records.spec import Method

Need = Literal["own_trace", "own_error", "errors_of_others", "weights_of_others", "future"]
"""What a hidden synapse has to know beside the two neurons that it joins in the present step: what it or its neuron
remembers; an error that belongs to its neuron or layer alone; errors of other neurons, outputs included; weights of
other synapses; later steps."""
NEEDS: tuple[Need, ...] = get_args(Need)


class EpochAgreement(Strict):
    """Says how near the rule's gradient of one layer's weights came to that of back-propagation after an epoch."""

    epoch: Natural
    layer: Text = Field(max_length=100)
    cosine: Cosine | None  # None where one of the two is zero
    norm_ratio: Amount | None  # norm of the rule's gradient by that of back-propagation; None where that is zero


class Learning(Strict):
    """Holds what the rule of a run remembers and multiplies, counted from sizes, not measured."""

    memory_bytes: Natural
    """Held to learn from one whole batch, beside the weights, their gradients and the batch itself."""
    weight_products: Amount
    """Multiply-accumulates a sample and step that make gradients of weights."""
    error_products: Amount
    """Multiply-accumulates a sample and step that carry errors to neurons."""
    locality: Annotated[tuple[Need, ...], Field(max_length=len(NEEDS))]
    """In the order of the vocabulary; empty where nothing hidden learns."""
    agreement: tuple[EpochAgreement, ...] | None = Field(default=None, min_length=1, max_length=1_000_000)
    """None: nobody asked for it."""


SCHEMA_VERSION = 1
SplitName = Literal["train", "validation", "test"]


SATURATED_RATE = 0.9  # spikes per step above which a neuron counts as saturated


class LayerActivity(Strict):
    """Holds spiking activity of one layer over a whole split."""

    name: str = Field(max_length=100)
    rate_per_step: Amount  # spikes per neuron and time step
    rate_hz: Amount
    dead_fraction: Fraction  # neurons without one spike on the whole split
    saturated_fraction: Fraction  # neurons with a rate above SATURATED_RATE


class Scores(Grown):
    """Holds scores of the selected weights on one split."""

    LATER: ClassVar[frozenset[str]] = frozenset({"labels"})

    samples: Positive
    accuracy: Fraction | None  # None where the target is no class; then the loss is the score
    loss: Number
    activity: tuple[LayerActivity, ...]
    labels: Positive | None = None
    """Labelled steps, of which accuracy is the share that is right, where each step has a class of its own."""


class EpochScores(Strict):
    """Describes one line of the training curve."""

    epoch: Natural
    train_loss: Number
    validation_loss: Number
    validation_accuracy: Fraction | None


class RateCurve(Strict):
    """Says how often one layer fires on the validation split, a number for each epoch of the curve."""

    name: str = Field(max_length=100)
    rate_per_step: tuple[Amount, ...]  # spikes per neuron and time step


class EpochOnTest(Strict):
    """Holds what the weights of one epoch score on the test split."""

    epoch: Natural
    accuracy: Fraction | None
    loss: Number


class SelectedOnTest(Strict):
    """Holds the epochs that selecting on the test split would have picked; of equal ones the first. No result."""

    by_loss: EpochOnTest
    by_accuracy: EpochOnTest | None  # None where there are no classes


class Failure(Strict):
    """Says why a run has no result."""

    kind: str = Field(max_length=100)
    message: str = Field(max_length=2000)


class Timing(Strict):
    """Holds wall-clock seconds; a continued run adds up its parts."""

    fit_s: Amount
    test_s: Amount
    total_s: Amount
    resumed: Natural  # how often the run was continued after an interruption


class HostEnergy(Strict):
    """Holds what one meter of the host counted, idle power included."""

    meter: Text = Field(max_length=100)
    fit_j: Amount
    test_j: Amount


class Provenance(Grown):
    """Says by what, on what and from what a record was made."""

    LATER: ClassVar[frozenset[str]] = frozenset({"truncated_spikes", "own_sources", "trainer"})

    commit: Commit | None
    clean: bool | None
    versions: dict[Text, Text]
    python: Text = Field(max_length=100)
    platform: Text = Field(max_length=200)
    processor: Text = Field(max_length=200)
    device: Text = Field(max_length=100)
    threads: Positive
    engine: Text = Field(max_length=100)
    engine_reason: Text = Field(max_length=500)
    data_sha256: Sha256 | None
    created_utc: Time
    truncated_spikes: dict[SplitName, Positive] | None = None
    """Spikes beyond the protocol's last step, of the splits that have any."""
    own_sources: dict[Text, Sha256] | None = None
    """By choice, of classes from elsewhere: the hash of the syntax tree of their source, where it could be read."""
    trainer: dict[Text, Text] | None = None
    """Arguments and callbacks of Lightning's Trainer, which a method does not state; no board ranks such a run."""


FINAL, UNKNOWN = "final", "unknown"
"""When the test split was touched: in the last step, or nobody can say; otherwise the epoch is named."""
STAGE = re.compile(r"^(final|unknown|epoch [0-9]{1,6})$")
Stage = Annotated[str, StringConstraints(pattern=STAGE.pattern)]


class RecordContent(Grown):
    """Holds all fields of a record, each valid by itself; `RunRecord` holds them against each other."""

    LATER: ClassVar[frozenset[str]] = frozenset(
        {
            "test_access",
            "host_energy",
            "test_selected",
            "at_chance",
            "diagnosis",
            "learning",
            "test_hard",
            "validation_rates",
            "calibration",
        }
    )

    schema_version: Version
    protocol: str = Field(max_length=80)
    method_id: MethodId
    seed: Natural
    status: Literal["finished", "failed"]
    failure: Failure | None
    method: Method
    classes: int | None = Field(ge=2, le=MAX_WHOLE)
    parameters: Natural | None  # trainable numbers
    best_epoch: Natural | None
    validation: Scores | None
    test: Scores | None
    curve: tuple[EpochScores, ...]
    counts: OpCounts | None
    predictions_sha256: Sha256 | None
    weights_sha256: Sha256 | None
    timing: Timing
    peak_memory_bytes: Natural | None
    provenance: Provenance
    test_access: tuple[Stage, ...] | None = Field(default=None, max_length=200_000)
    """Each time that the test split was touched, interrupted tries included; None: the record predates this."""
    host_energy: tuple[HostEnergy, ...] | None = Field(default=None, min_length=1, max_length=100)
    """None: no meter could be read, or not of this run alone from its first epoch on."""
    test_selected: SelectedOnTest | None = None
    """None: the test split was not scored after every epoch, as it never is unless that was asked for."""
    at_chance: Annotated[Literal[True], BeforeValidator(truth)] | None = None
    """True: validation is scored no better than by guessing after training; None: better, or not known."""
    diagnosis: tuple[Diagnosis, ...] | None = Field(default=None, min_length=1, max_length=10_000)
    """How gradients flow at some weights of the run; None: nobody asked for it."""
    learning: Learning | None = None
    """What the rule takes to learn; None: the record predates it, the run failed, or the rule does not say."""
    test_hard: Scores | None = None
    """Of a network that sends a smooth curve: what the same weights score with spikes, against `test`."""
    validation_rates: tuple[RateCurve, ...] | None = Field(default=None, min_length=1, max_length=1000)
    """By layer that fires: its rate after each epoch; None: the record predates it, or no layer fires."""
    calibration: Calibration | None = None
    """What chose the width, where the words asked for `width_fwhm=auto`; None: it was given."""
