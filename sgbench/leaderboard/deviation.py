"""Check whether a record is comparable: whether it follows its protocol except in what the protocol leaves free."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from sgbench.composition import catalogue
from sgbench.composition.catalogue import EntriesOnDemand, Entry
from sgbench.composition.data_facts import DataSetFacts, facts_of
from sgbench.errors import InputError, require_number
from sgbench.leaderboard.score import Measure, measure_of
from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, PROTOCOL_IDENTITY, canonical, same
from sgbench.records.record import KnownMethods, RunRecord
from sgbench.records.spec import (
    GROUPS,
    NEUTRAL_CHOICES,
    NOTHING,
    SPIKING_CHOICES,
    Method,
    Protocol,
    choice_overrides,
    entry_group,
    outside_band,
)
from sgbench.tables import ranges

WITHOUT = {
    **{group: name for group, name in NEUTRAL_CHOICES.items() if group not in ("augmentation", "schedule")},
    **dict.fromkeys(SPIKING_CHOICES, NOTHING),
    "regulariser": "none",
}
"""Maps each config group that concerns only spiking neurons to its entry in a network without spikes."""


def is_baseline(entry: Entry | None) -> bool:
    """Return whether an entry of the catalogue is a network without spikes; false for None."""
    return entry is not None and entry.meta.get("spikes") is False


def _baseline_deviations(method: Method, protocol: Protocol, entry: Entry | None) -> Iterator[str]:
    """Yield where a method without neurons deviates from a baseline: in its entries, or in its network's size.

    `entry`: that of its network in the catalogue; None if it has none.
    """
    if not is_baseline(entry):
        yield f"network {method.choices['network']} is no baseline of the catalogue, and has no neurons"
    for group, name in WITHOUT.items():
        if method.choices[group] != name or (method.parameters[group] and name == NOTHING):
            yield f"{group} is {method.choices[group]}, a network without spikes has {name}"
    stated = method.parameters["network"]
    size, band = stated.get("parameters"), protocol.parameters
    expected = {"parameters": None, "match_hidden": protocol.hidden, "steps": protocol.steps}
    if isinstance(size, int) and "network" in protocol.free:  # its size is chosen within the protocol's band
        expected = {"match_hidden": None, "steps": protocol.steps}
        if band is not None and not band[0] <= size <= band[1]:
            yield f"network.parameters is {size:,}, {protocol.name} allows {band[0]:,} to {band[1]:,}"
    for key, value in expected.items():
        if key in stated and not same(stated[key], value):
            yield f"network.{key} is {canonical(stated[key])[:60]}, a baseline has {canonical(value)[:60]}"


METHOD_FAILURES = ("NonFiniteError",)
"""Kinds of failure that count for the method; others (out of memory, a full disk) are the machine's."""
SHOWN = 3  # most deviations that a message lists
ABSENT = "absent"  # in messages for a parameter that a method lacks
SHOWN_CHARS = 60  # most characters of a value in a message
VERSION = re.compile(r"_v\d+$")
SHA256 = re.compile(r"[0-9a-f]{64}")
NUMERIC = re.compile(
    r"\$\{(decay:|unless:(?!.*,(?:none|true|false)\})|\.?width_fwhm\}|protocol\.(dt_s|steps|hidden|epochs|batch_size)\})"
)
"""Matches the interpolations in a YAML file that resolve to numbers; the type of others is unknown here."""

Entries = Mapping[str, Mapping[str, Entry]]
"""Maps each group of the catalogue to its entries by name."""


@dataclass(frozen=True)
class ProtocolReference:
    """Holds a protocol of the catalogue, a method that follows it in everything, and the catalogue's entries."""

    protocol: Protocol
    method: Method
    entries: Entries
    guess_loss: float | None = None  # test loss without learning, for a task without classes
    draws: Mapping[int, str] = field(default_factory=dict)  # hash of the data of each seed, if seeds draw their own
    guess_accuracy: float | None = None  # test accuracy without learning, if classes are not equally frequent

    @property
    def measure(self) -> Measure:
        """How a run is scored: by accuracy, or by a loss beside that of guessing."""
        if self.classes is None and self.guess_loss is None:
            raise InputError(
                f"protocol '{self.protocol.name}': its score is a loss, and nobody says what guessing loses; "
                f"add to its file meta: {{guess_loss: <test loss without learning>}}"
            )
        return measure_of(self.classes, self.guess_loss, self.guess_accuracy)

    @property
    def classes(self) -> int | None:
        """Return the count of classes of the protocol's data set; None without classes."""
        return self.facts.classes

    @property
    def test_samples(self) -> int:
        """How many samples the test has; InputError where nobody has counted the data set's."""
        if "test" not in self.facts.sizes:
            name = self.method.choices["dataset"]
            raise InputError(
                f"data set {name}: how many samples its test has is not known; hand in: sgbench data confirm {name}"
            )
        return self.facts.sizes["test"]

    def data_sha256(self, seed: int) -> str | None:
        """Return the SHA-256 of the data of a run with this seed; None if unknown."""
        return self.draws.get(seed) if self.protocol.draw == "per_seed" else self.facts.sha256

    @property
    def labels_steps(self) -> bool:
        """Return whether each time step has a class, so that accuracies count steps."""
        return self.facts.target == "class_per_step"

    @cached_property
    def facts(self) -> DataSetFacts:
        return facts_of(self.entries["dataset"][self.method.choices["dataset"]])


class References:
    """Composes the references of protocols, each once, with arguments as `compose_reference` has them."""

    def __init__(self, config_dirs: Iterable[Path] = (), allow_targets: Iterable[str] = ()) -> None:
        self.config_dirs = tuple(config_dirs)
        self.allow_targets = tuple(allow_targets)
        self._known: dict[str, ProtocolReference] = {}
        self._entries: Entries | None = None

    def of(self, name: str) -> ProtocolReference:
        """Return the reference of a protocol, composed at its first use."""
        if name not in self._known:
            self._entries = self._entries or entries_by_group(self.config_dirs)
            self._known[name] = compose_reference(
                name, config_dirs=self.config_dirs, allow_targets=self.allow_targets, entries=self._entries
            )
        return self._known[name]


def compose_reference(
    name: str, *, config_dirs: Iterable[Path] = (), allow_targets: Iterable[str] = (), entries: Entries | None = None
) -> ProtocolReference:
    """Compose the reference of a protocol: its entries with its experiment, or with the catalogue's defaults.

    The experiment has the protocol's name, or this name without a version: `experiment=digits` for `digits_v1`,
    `experiment=yin_yang_v2` for `yin_yang_v2`.

    >>> compose_reference("digits_v1").method.choices["dataset"]
    'digits'
    """
    # Hydra is imported only here, so that tables of checked records start faster.
    from sgbench.composition.compose import compose

    folders = tuple(config_dirs)
    entry = catalogue.entry("protocol", name, folders)
    fixed = entry.parameters.get("fixed")
    if not isinstance(fixed, dict):
        raise InputError(f"protocol '{name}': fixed has to be a mapping of groups to choices")
    overrides = [f"{'neuron@readout' if group == 'readout' else group}={choice}" for group, choice in fixed.items()]
    experiment = experiment_of(name, folders)
    if experiment is not None:
        overrides.insert(0, f"experiment={experiment}")
    method = compose([*overrides, f"protocol={name}"], config_dirs=folders, allow_targets=allow_targets).method
    return ProtocolReference(
        method.protocol,
        method,
        entries_by_group(folders) if entries is None else entries,
        guess_loss=_guess(entry, "guess_loss"),
        draws=_draws(entry),
        guess_accuracy=_guess(entry, "guess_accuracy", high=1),
    )


def entries_by_group(config_dirs: Iterable[Path] = ()) -> Entries:
    """Return the catalogue's entries of all groups that a method chooses from; each is read when looked up."""
    folders = tuple(config_dirs)
    return {group: EntriesOnDemand(group, folders) for group in {entry_group(group) for group in GROUPS}}


def experiment_of(protocol: str, config_dirs: Iterable[Path] = ()) -> str | None:
    """Return the experiment that has a protocol's name, or this name without its version; None if there is neither.

    >>> experiment_of("digits_v1"), experiment_of("yin_yang_v2"), experiment_of("digits_tuned_v2")
    ('digits', 'yin_yang_v2', None)
    """
    known = catalogue.paths("experiment", tuple(config_dirs))
    return next((name for name in (protocol, VERSION.sub("", protocol)) if name in known), None)


def _draws(entry: Entry) -> Mapping[int, str]:
    """Return the SHA-256 of each seed's own data, as a protocol's file states it; empty if it states none."""
    hashes = entry.meta.get("data_sha256") or {}
    is_valid = isinstance(hashes, dict) and all(
        isinstance(seed, int) and isinstance(text, str) and SHA256.fullmatch(text) for seed, text in hashes.items()
    )
    if not is_valid:
        raise InputError(f"{entry.path}: meta.data_sha256: a hash of 64 digits for each seed is needed")
    return hashes


def _guess(entry: Entry, key: str, *, high: float = math.inf) -> float | None:
    """Return the score of guessing that a protocol's file states as `key`, above 0 and at most `high`, or None."""
    score = entry.meta.get(key)
    if score is None:
        return None
    return require_number(f"{entry.path}: meta.{key}", score, low=0, high=high, open_low=True)


def deviation(
    record: RunRecord, reference: ProtocolReference, *, known: KnownMethods | None = None, trials: bool = False
) -> str | None:
    """Return on one line why a record is no row of its protocol's board, without its name; None if it is one.

    `known`: keeps the deviations of each method for its other seeds; None keeps nothing. `trials`: whether to accept
    also the seeds with which settings are chosen.
    """
    if record.failure is not None and record.failure.kind not in METHOD_FAILURES:
        return f"failed for a reason that is not the method's ({record.failure.kind}); repeat the run"
    deviations = [*_setting_texts(record.method, reference, known)]
    if not (trials and record.seed in reference.protocol.trial_seeds):
        deviations += _seed_deviation(record.seed, reference)
    deviations += [f"{key} is no part of a method" for key in record.provenance.trainer or {}]
    deviations += _fact_deviations(record, reference)
    deviations += filter(None, [outside_band(record.method, record.parameters, reference.protocol)])
    more = f"; and {len(deviations) - SHOWN} more" if len(deviations) > SHOWN else ""
    head = f"deviates from {reference.protocol.name}: "
    return f"{head}{'; '.join(deviations[:SHOWN])}{more}" if deviations else None


def _setting_texts(method: Method, reference: ProtocolReference, known: KnownMethods | None) -> tuple[str, ...]:
    if known is None:
        return tuple(deviation.text for deviation in setting_deviations(method, reference))
    return known.once(method, lambda: _setting_texts(method, reference, None))


def method_deviations(method: Method, seed: int, reference: ProtocolReference) -> Iterator[str]:
    yield from (deviation.text for deviation in setting_deviations(method, reference))
    yield from _seed_deviation(seed, reference)


def _seed_deviation(seed: int, reference: ProtocolReference) -> Iterator[str]:
    """Say why results of this seed do not count under the protocol; nothing if they do."""
    seeds = reference.protocol.seeds
    if reference.protocol.is_tuning_seed(seed):
        yield "its seed is one that settings are chosen with, and reports nothing"
    elif seed not in seeds:
        # Choosing among more seeds would be a selection of results.
        yield f"its seed is not among the protocol's seeds {ranges(seeds)}"


class Deviation(NamedTuple):
    """Holds a deviation from a protocol as text, and the override that removes it; None if no single one does."""

    text: str
    override: str | None = None


def setting_deviations(method: Method, reference: ProtocolReference) -> Iterator[Deviation]:
    """Yield where a method's settings, without the seed, deviate from what its protocol fixes."""
    protocol = reference.protocol
    for key in PROTOCOL_IDENTITY:
        ours, theirs = getattr(protocol, key), getattr(method.protocol, key)
        yield from _differs(f"protocol.{key}", theirs, ours)
    if "clip_norm" not in protocol.free:
        yield from _differs("clip_norm", method.clip_norm, reference.method.clip_norm)
    if method.is_baseline:
        network = reference.entries["network"].get(method.choices["network"])
        yield from map(Deviation, _baseline_deviations(method, protocol, network))
    for group in GROUPS:
        if not (method.is_baseline and group in WITHOUT):
            yield from _group_deviations(group, method, reference)


def _group_deviations(group: str, method: Method, reference: ProtocolReference) -> Iterator[Deviation]:
    """Yield where a method's entry in one group, or a parameter of it, deviates from what the protocol fixes."""
    choice, fixed = method.choices[group], reference.method.choices[group]
    free = (*reference.protocol.free, *(["network"] if method.is_baseline else []))
    if group not in free and choice != fixed:
        (override,) = choice_overrides({group: fixed}) or [None]
        yield Deviation(f"{group} is {_short(choice)}, the protocol says {_short(fixed)}", override)
        return  # the parameters of another entry cannot be compared
    entry = reference.entries[entry_group(group)].get(choice)
    if entry is None:
        yield Deviation(
            f"{group} {_short(choice)} is not in the catalogue; name the folder of your own with --config-dir"
        )
        return
    stated, expected = method.parameters[group], reference.method.parameters[group]
    for key in sorted({*stated, *entry.parameters}):
        name = f"{group}.{key}"
        if group in free or name in free:
            yield from map(Deviation, _free_parameter_problems(name, stated, entry))
        else:
            yield from _differs(name, _parameter(stated, name), _parameter(expected, name))


def _free_parameter_problems(name: str, parameters: Mapping[str, Value], entry: Entry) -> Iterator[str]:
    """Say what is wrong with a parameter that the protocol leaves free: unknown, missing, or of another kind."""
    key = name.partition(".")[2]
    if key not in entry.parameters:
        yield f"{name} is no parameter of {entry.name}"
    elif key not in parameters and name not in NEUTRAL:
        yield f"{name} is missing"
    elif not _fits(parameters.get(key), entry.parameters[key]):
        yield f"{name} is {_short(parameters[key])}, not of the kind that {entry.name} has by default"


def _fits(value: Value, default: object) -> bool:
    """Return whether a value has the type of the entry's default: a switch, a number or numbers, text, a list.

    A default ${...} that resolves to a number (`NUMERIC`) requires numbers. Any other interpolation, and None,
    accepts every value. A value of None always fits.
    """
    if value is None or default is None:
        return True
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, list):
        return isinstance(value, tuple)
    if isinstance(default, str) and not default.startswith("${"):
        return isinstance(value, str)
    if isinstance(default, str) and not NUMERIC.match(default):
        return True
    items = value if isinstance(value, tuple) else (value,)
    return all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)


def _fact_deviations(record: RunRecord, reference: ProtocolReference) -> Iterator[str]:
    """Yield a line for each fact on its data set, such as its hash, that differs in a record and the catalogue."""
    entry = reference.entries["dataset"].get(record.method.choices["dataset"])
    if entry is None:
        return  # reported as a deviation of the entry
    try:
        is_protocols_own = entry.name == reference.method.choices["dataset"]
        facts = reference.facts if is_protocols_own else facts_of(entry)
        per_seed = reference.protocol.draw == "per_seed"
        expected = reference.data_sha256(record.seed) if is_protocols_own or per_seed else facts.sha256
    except InputError as error:
        yield str(error)
        return
    stated: list[tuple[str, Value, Value]] = [("classes", record.classes, facts.classes)]
    if facts.is_accepted or expected is not None:
        stated.append(("provenance.data_sha256", record.provenance.data_sha256, expected))
    for name, scores in (("validation", record.validation), ("test", record.test)):
        if scores is not None:
            if name in facts.sizes:
                stated.append((f"{name}.samples", scores.samples, facts.sizes[name]))
            if facts.target != "class_per_step":
                stated.append((f"{name}.labels", scores.labels, None))
    for name, value, expected_value in stated:
        # A run may fail before its data are read.
        if value is not None or record.status == "finished":
            yield from (line.text for line in _differs(name, value, expected_value, source=f"data set {entry.name}"))


def _parameter(parameters: Mapping[str, Value], name: str) -> Value:
    return parameters.get(name.partition(".")[2], NEUTRAL.get(name, ABSENT))


def _differs(name: str, value: Value, expected: Value, *, source: str = "the protocol") -> Iterator[Deviation]:
    if not same(value, expected):
        text = canonical(expected)
        override = f"{name}={text}" if len(text) <= SHOWN_CHARS and expected != ABSENT else None
        yield Deviation(f"{name} is {_short(value)}, {source} says {_short(expected)}", override)


def _short(value: Value) -> str:
    text = canonical(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."
