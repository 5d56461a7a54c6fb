"""The specification of a run: its method, which enters the results, and the circumstances of its execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, StringConstraints, field_serializer, field_validator, model_validator

from sgbench.errors import InputError
from sgbench.records.base import MAX_NUMBER, Grown, Number, Positive, Strict, Value
from sgbench.records.calibration import Calibration
from sgbench.records.diagnosis import Panel

GROUPS = (
    "dataset",
    "encoder",
    "augmentation",
    "network",
    "normalisation",
    "dropout",
    "neuron",
    "readout",
    "surrogate",
    "steepness",
    "firing",
    "rule",
    "loss",
    "regulariser",
    "init",
    "optimizer",
    "schedule",
    "weights",
)
"""Groups from each of which a method chooses one entry; `readout` has the entries of the group `neuron`."""

NEUTRAL_CHOICES: dict[str, str] = {
    "steepness": "fixed",
    "firing": "step",
    "normalisation": "none",
    "dropout": "none",
    "augmentation": "none",
    "schedule": "constant",
    "weights": "float",
}
"""Frozen: maps each group that was added later to the entry that a method without the group has.

It is the entry that leaves all earlier results as they were, and it is not written into records. A method with it
has the id of one without, so old records load, keep their names and their bytes. A line is never removed or edited.
"""

SPIKING_CHOICES = ("neuron", "readout", "surrogate")
NOTHING = "none"
"""Entry of these groups in a method whose network has no spiking neurons."""

EntryName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(/[A-Za-z0-9_]+)?$", max_length=80)]
ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$", max_length=80)]
ParameterPath = Annotated[str, StringConstraints(pattern=r"^[a-z_]+\.[a-zA-Z_][a-zA-Z0-9_]*$", max_length=160)]
ProtocolName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+_v[0-9]+$", max_length=80)]

Sizes = Annotated[tuple[Annotated[int, Field(gt=0, le=1_000_000)], ...], Field(min_length=1, max_length=100)]


def entry_group(choice: str) -> str:
    """Return the catalogue group from which a choice takes its entries.

    >>> entry_group("readout")
    'neuron'
    """
    return "neuron" if choice == "readout" else choice


def choice_overrides(choices: Mapping[str, str]) -> list[str]:
    """Write choices (group to entry) as Hydra overrides, without those of spiking neurons that are "none".

    >>> choice_overrides({"network": "mlp", "readout": "leaky"})
    ['network=mlp', 'neuron@readout=leaky']
    >>> choice_overrides({"network": "gru", "readout": "none"})
    ['network=gru']
    """
    selected = {group: name for group, name in choices.items() if group not in SPIKING_CHOICES or name != NOTHING}
    return [f"{'neuron@readout' if group == 'readout' else group}={name}" for group, name in selected.items()]


class SearchRange(Strict):
    """Says from where to where a number may be searched, and how evenly."""

    low: Number
    high: Number
    scale: Literal["linear", "log"]
    unit: Literal["number", "threshold", "per_threshold"]
    """Of low and high: as it stands, in thresholds of the neuron (widths), or in their inverse (slopes)."""

    @model_validator(mode="after")
    def _ordered(self) -> SearchRange:
        if not self.low < self.high or (self.scale == "log" and self.low <= 0):
            raise ValueError("low below high is needed, and low above 0 on a log scale")
        return self

    def holds(self, value: float, *, threshold: float) -> bool:
        """Return whether a number lies within the range, up to rounding; threshold: of the neuron.

        >>> width = SearchRange(low=0.1, high=2, scale="log", unit="threshold")
        >>> width.holds(3.0, threshold=2.0), width.holds(3.0, threshold=1.0)
        (True, False)
        """
        factor = {"number": 1.0, "threshold": 1 / threshold, "per_threshold": threshold}[self.unit]
        slack = 1e-9 * max(abs(self.low), abs(self.high))
        return self.low - slack <= value * factor <= self.high + slack

    @property
    def text(self) -> str:
        """Write the range with its unit and scale.

        >>> SearchRange(low=0.1, high=2, scale="log", unit="threshold").text
        '0.1 to 2 thresholds (log)'
        """
        unit = {"number": "", "threshold": " thresholds", "per_threshold": " per threshold"}[self.unit]
        return f"{self.low:g} to {self.high:g}{unit} ({self.scale})"


PREFIXES = (10, 20)
"""How many of a protocol's seeds, from the first on, make a row that is complete but not of all."""


class Protocol(Grown):
    """Fixes what makes rows comparable; a published protocol is never edited in meaning, only superseded."""

    LATER: ClassVar[frozenset[str]] = frozenset(
        {
            "tuning_trials",
            "search_space",
            "parameters",
            "draw",
            "tuning_seeds",
            "solved_from",
            "accumulated_batches",
            "first_samples",
        }
    )

    name: ProtocolName
    about: str = Field(max_length=500)
    dt_s: float = Field(gt=0, le=1)
    steps: int = Field(gt=0, le=100_000)
    hidden: Sizes | None  # null where no list of layer sizes describes the network
    epochs: int = Field(gt=0, le=100_000)
    batch_size: int = Field(gt=0, le=1_000_000)
    patience: int | None = Field(gt=0, le=100_000)
    monitor: Literal["validation_loss", "validation_accuracy"]
    precision: Literal["float32", "float64", "bfloat16"]
    """Of all numbers; bfloat16 is of those that feed-forward weights multiply, and float32 of all others."""
    data_order: Literal["seed_epoch"]
    seeds: tuple[Annotated[int, Field(ge=0, le=2**31)], ...] = Field(min_length=1, max_length=1000)
    fixed: dict[str, str]
    free: tuple[str, ...]
    superseded_by: ProtocolName | None
    tuning_trials: int | None = Field(default=None, ge=1, le=20_000)
    """How many settings a method may have tried; None sets no limit."""
    search_space: dict[ParameterPath, SearchRange] | None = Field(default=None, min_length=1, max_length=100)
    """The numbers that settings tried may differ in; None leaves that open."""
    parameters: tuple[Positive, Positive] | None = None
    """The fewest and the most trainable numbers that a spiking method may have; None sets no band."""

    draw: Literal["per_seed"] | None = None
    """Whether each seed draws data of its own: other samples where they are generated, else other splits."""
    tuning_seeds: tuple[Annotated[int, Field(ge=0, le=2**31)], ...] | None = Field(
        default=None, min_length=1, max_length=1000
    )
    """Seeds that settings may be chosen with; None says that they are those of the rows."""
    solved_from: float | None = Field(default=None, gt=0, le=1)
    """Test accuracy from which a run counts as solved, where that is what the task is about."""
    accumulated_batches: int | None = Field(default=None, ge=2, le=100_000)
    """Over how many batches gradients are averaged before each step; None is a step for each batch."""
    first_samples: int | None = Field(default=None, ge=1, le=1_000_000_000)
    """How many samples of each split are used, to try something; None is all, and no board ranks another number."""

    @property
    def complete_seeds(self) -> tuple[tuple[int, ...], ...]:
        """Return the sets of seeds with which a row of a leaderboard is complete, the smallest first.

        These are all seeds and, if settings are chosen with separate tuning seeds, the first 10 and 20 too.
        """
        prefixes = PREFIXES if self.tuning_seeds is not None else ()
        return (*(self.seeds[:count] for count in prefixes if count < len(self.seeds)), self.seeds)

    @property
    def trial_seeds(self) -> tuple[int, ...]:
        return self.seeds if self.tuning_seeds is None else self.tuning_seeds

    def is_tuning_seed(self, seed: int) -> bool:
        return seed in (self.tuning_seeds or ())

    @field_validator("parameters", "tuning_seeds", mode="before")
    @classmethod
    def _to_tuple(cls, value: object) -> object:
        return tuple(value) if isinstance(value, list) else value

    @model_validator(mode="after")
    def _seeds_apart(self) -> Protocol:
        if set(self.seeds) & set(self.tuning_seeds or ()):
            raise ValueError("tuning_seeds: none of them may be among the seeds, which report")
        return self

    @model_validator(mode="after")
    def _band(self) -> Protocol:
        if self.parameters is not None and self.parameters[0] > self.parameters[1]:
            raise ValueError(f"parameters: the fewest come first (given: {list(self.parameters)})")
        return self

    @field_validator("patience", mode="before")
    @classmethod
    def _patience(cls, value: object) -> object:
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise ValueError("a whole number of epochs or null is needed")
        return value


class Method(Strict):
    """Holds entry names and numbers: everything that changes a result in expectation, and nothing else."""

    choices: dict[str, EntryName]
    parameters: dict[str, dict[ParameterName, Value]]
    protocol: Protocol
    clip_norm: float | None = Field(gt=0, le=MAX_NUMBER, strict=True)

    @field_validator("choices")
    @classmethod
    def _complete(cls, value: dict[str, str]) -> dict[str, str]:
        """Add the neutral entries of groups that are left out; raise ValueError unless all are there then."""
        value = {**NEUTRAL_CHOICES, **value}
        if set(value) != set(GROUPS):
            raise ValueError(f"exactly these choices are needed: {', '.join(GROUPS)}")
        return value

    @field_validator("parameters")
    @classmethod
    def _complete_parameters(cls, value: dict[str, dict[str, Value]]) -> dict[str, dict[str, Value]]:
        """Add empty parameters of groups that may be left out; raise ValueError unless all are there then."""
        value = {**{group: {} for group in NEUTRAL_CHOICES}, **value}
        if set(value) != set(GROUPS):
            raise ValueError(f"parameters of exactly these choices are needed: {', '.join(GROUPS)}")
        return value

    @property
    def label(self) -> str:
        return self.choices["network" if self.is_baseline else "surrogate"]

    @property
    def is_baseline(self) -> bool:
        return self.choices["surrogate"] == NOTHING

    @field_serializer("choices")
    def _written_choices(self, value: dict[str, str]) -> dict[str, str]:
        """Leave out neutral entries of groups that were added later, so that old bytes stay the same."""
        return {group: name for group, name in value.items() if NEUTRAL_CHOICES.get(group) != name}

    @field_serializer("parameters")
    def _written_parameters(self, value: dict[str, dict[str, Value]]) -> dict[str, dict[str, Value]]:
        """Leave out empty parameters of groups that were added later, so that old bytes stay the same."""
        return {group: values for group, values in value.items() if values or group not in NEUTRAL_CHOICES}


class TrainerSettings(Strict):
    """Says how a run is executed; nothing here changes a result in expectation."""

    device: Literal["cpu", "cuda", "auto"]
    threads: int = Field(gt=0, le=1024)
    progress: bool
    log_every_steps: int = Field(gt=0)
    watch_test_score: bool = False
    """Whether the test split is scored after every epoch too, to show by how much selecting on it flatters."""
    test_tuning_seeds: bool = False
    """Whether seeds that settings are chosen with are scored on the test split too, as plans of a study have it."""
    diagnose: tuple[Panel, ...] = ()
    """What is diagnosed on validation data at the initial and the selected weights; none for no diagnosis."""
    diagnose_every: int | None = Field(default=None, gt=0)
    """After how many epochs the weights on the way are diagnosed too; null for none of them."""
    watch_agreement: bool = False
    """Whether the rule's gradient is compared with that of back-propagation after every epoch."""
    profile: bool = False
    """Whether the parts of the fit are timed, into files beside the record."""
    devices: int = Field(default=1, ge=1, le=64)
    """How many processes train, each on a share of every batch; what they come to is that of one."""
    batches_ahead: int = Field(default=0, ge=0, le=1000)
    """How many batches a worker encodes ahead of their use; 0 for none."""
    checkpoint_every: int = Field(default=1, ge=1, le=100_000)
    """Epochs from one checkpoint of a run to the next."""
    driver: Literal["sgbench", "lightning"] = "sgbench"
    """What goes through the epochs of a single run: our own loop, or PyTorch Lightning's Trainer."""
    arguments: dict[ParameterName, Value] = Field(default_factory=dict)
    """What the Trainer is given: every key of `trainer=lightning` that is not null and no setting above."""

    @model_validator(mode="before")
    @classmethod
    def _gather_arguments(cls, tree: Any) -> Any:
        """Gather what is no field of ours as arguments of Lightning's trainer."""
        if not isinstance(tree, dict) or tree.get("driver") != "lightning" or "arguments" in tree:
            return tree
        own = {key: value for key, value in tree.items() if key in cls.model_fields}
        arguments = {key: value for key, value in tree.items() if key not in own and value is not None}
        return {**own, "arguments": arguments}


class PathSettings(Strict):
    """Says where a run reads and writes."""

    runs_dir: str = Field(min_length=1)
    data_dir: str = Field(min_length=1)


class RunSpec(Strict):
    """Requests one run; everything in it has been checked."""

    method: Method
    seed: int = Field(ge=0, le=2**31, strict=True)
    engine: Literal["auto", "fused", "scan", "reference", "snntorch", "triton"]
    trainer: TrainerSettings
    paths: PathSettings
    loggers: dict[str, dict[ParameterName, Value]]
    callbacks: dict[str, dict[ParameterName, Value]] = Field(default_factory=dict)
    """Lightning's callbacks and ours, by name; they need `trainer=lightning`."""
    group: str | None = Field(max_length=100)
    force: bool
    calibration: Calibration | None = None
    """Of the width, where it was chosen by `width_fwhm=auto`; no part of the method, which has the number alone."""
    targets: dict[str, str]  # the class behind each choice and logger, from the catalogue, never from a record

    @property
    def opens_test(self) -> bool:
        """Return whether the run is tested at its end: always, unless its seed is for tuning only."""
        return self.trainer.test_tuning_seeds or not self.method.protocol.is_tuning_seed(self.seed)

    @property
    def watches_test(self) -> bool:
        return self.trainer.watch_test_score and self.opens_test


def outside_band(method: Method, parameters: int | None, protocol: Protocol) -> str | None:
    """Describe that a method's number of parameters is outside a protocol's bounds; return None if it is not.

    The bounds do not hold for baselines without spikes, nor for an unknown number (None).
    """
    band = protocol.parameters
    if band is None or parameters is None or method.is_baseline or band[0] <= parameters <= band[1]:
        return None
    return f"parameters: {parameters:,}, {protocol.name} allows {band[0]:,} to {band[1]:,}"


def check_band(method: Method, parameters: int) -> None:
    """Refuse a network whose number of parameters lies outside the protocol's band."""
    problem = outside_band(method, parameters, method.protocol)
    if problem is not None:
        raise InputError(f"{problem}; change network.hidden, or try it unranked with protocol.parameters=null")
