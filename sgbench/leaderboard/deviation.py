"""Is a record comparable: does it follow the protocol that it names, outside what the protocol leaves free?"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.composition.data_facts import DataSetFacts, facts_of
from sgbench.errors import InputError, require_number
from sgbench.leaderboard.baseline import WITHOUT, baseline_deviations
from sgbench.leaderboard.score import Measure, measure_of
from sgbench.records.base import Value
from sgbench.records.method import NEUTRAL, PROTOCOL_IDENTITY, canonical, same
from sgbench.records.record import KnownMethods, RunRecord
from sgbench.records.spec import GROUPS, Method, Protocol, choice_words, entry_group, outside_band
from sgbench.tables import ranges

METHOD_FAILURES = ("NonFiniteError",)
"""Failures that say something of the method; others (out of memory, a full disk) are of the machine."""
SHOWN = 3
"""How many deviations a message spells out."""
ABSENT = "absent"
"""What stands in a message for a parameter that a method does not have."""
SHOWN_CHARS = 60
"""How much of a value a message shows."""
VERSION = re.compile(r"_v\d+$")
SHA256 = re.compile(r"[0-9a-f]{64}")
NUMERIC = re.compile(
    r"\$\{(decay:|unless:(?!.*,(?:none|true|false)\})|\.?width_fwhm\}|protocol\.(dt_s|steps|hidden|epochs|batch_size)\})"
)
"""References in a YAML file that stand for numbers; what others stand for is not known here."""

Entries = Mapping[str, Mapping[str, Entry]]
"""Entries by the catalogue's group and the entry's name."""


@dataclass(frozen=True)
class ProtocolReference:
    """Holds the catalogue's word on a protocol: its values, a method that follows it everywhere, all entries."""

    protocol: Protocol
    method: Method
    entries: Entries
    guess_loss: float | None = None  # test loss without learning, where there are no classes
    draws: Mapping[int, str] = field(default_factory=dict)  # hash of the data of each seed that draws its own
    guess_accuracy: float | None = (
        None  # test accuracy without learning, where classes are not equally frequent
    )

    @property
    def measure(self) -> Measure:
        """Return the measure that the protocol's board compares.

        Raises:
            InputError: nobody says what guessing would lose.
        """
        if self.classes is None and self.guess_loss is None:
            raise InputError(
                f"protocol '{self.protocol.name}': its score is a loss, and nobody says what guessing loses; "
                f"add to its file meta: {{guess_loss: <test loss without learning>}}"
            )
        return measure_of(self.classes, self.guess_loss, self.guess_accuracy)

    @property
    def classes(self) -> int | None:
        """Return how many classes the protocol's data set has, or None without classes."""
        return self.facts.classes

    @property
    def test_samples(self) -> int:
        """Return how many samples the protocol's test set has.

        Raises:
            InputError: nobody has read the data set's files here, and its publication does not say.
        """
        if "test" not in self.facts.sizes:
            name = self.method.choices["dataset"]
            raise InputError(
                f"data set {name}: how many samples its test has is not known; hand in: sgbench data confirm {name}"
            )
        return self.facts.sizes["test"]

    def data_sha256(self, seed: int) -> str | None:
        """Return the hash of the data that a run of this seed sees; None where nothing states it."""
        return self.draws.get(seed) if self.protocol.draw == "per_seed" else self.facts.sha256

    @property
    def labels_steps(self) -> bool:
        """Return whether each step has a class of its own, so that accuracies are of steps."""
        return self.facts.target == "class_per_step"

    @cached_property
    def facts(self) -> DataSetFacts:
        """Return the facts of the data set.

        Raises:
            InputError: the catalogue lacks one.
        """
        return facts_of(self.entries["dataset"][self.method.choices["dataset"]])


class References:
    """Composes the references of the protocols that a board meets, each once."""

    def __init__(self, config_dirs: Iterable[Path] = (), allow_targets: Iterable[str] = ()) -> None:
        self.config_dirs = tuple(config_dirs)
        self.allow_targets = tuple(allow_targets)
        self._known: dict[str, ProtocolReference] = {}
        self._entries: Entries | None = None

    def of(self, name: str) -> ProtocolReference:
        """Return the reference of one protocol.

        Raises:
            InputError: the catalogue has no such protocol, or it cannot be composed.
        """
        if name not in self._known:
            self._entries = self._entries or entries_by_group(self.config_dirs)
            self._known[name] = compose_reference(
                name, config_dirs=self.config_dirs, allow_targets=self.allow_targets, entries=self._entries
            )
        return self._known[name]


def compose_reference(
    name: str,
    *,
    config_dirs: Iterable[Path] = (),
    allow_targets: Iterable[str] = (),
    entries: Entries | None = None,
) -> ProtocolReference:
    """Compose what a protocol fixes with the experiment of its name, or with the catalogue's defaults.

    So `digits_v1` is referred to what `sgbench run experiment=digits` runs, `yin_yang_v2` to
    `experiment=yin_yang_v2` where there is one of that name; a protocol without an experiment, to the defaults.

    Args:
        name: of the protocol.
        config_dirs: folders with entries of the user's own.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        entries: the catalogue's, where they were read; None reads them.

    Raises:
        InputError: the catalogue has no such protocol, or it cannot be composed.

    >>> compose_reference("digits_v1").method.choices["dataset"]
    'digits'
    """
    # Hydra is needed here alone; a table from records that are already checked starts without it.
    from sgbench.composition.compose import compose

    folders = tuple(config_dirs)
    entry = catalogue.entry("protocol", name, folders)
    fixed = entry.parameters.get("fixed")
    if not isinstance(fixed, dict):
        raise InputError(f"protocol '{name}': fixed has to be a mapping of groups to choices")
    words = [f"{'neuron@readout' if group == 'readout' else group}={pick}" for group, pick in fixed.items()]
    experiment = experiment_of(name, folders)
    if experiment is not None:
        words.insert(0, f"experiment={experiment}")
    method = compose([*words, f"protocol={name}"], config_dirs=folders, allow_targets=allow_targets).method
    return ProtocolReference(
        method.protocol,
        method,
        entries_by_group(folders) if entries is None else entries,
        guess_loss=_guess(entry, "guess_loss"),
        draws=_draws(entry),
        guess_accuracy=_guess(entry, "guess_accuracy", high=1),
    )


def entries_by_group(config_dirs: Iterable[Path] = ()) -> Entries:
    """Read the catalogue's entries of the groups that a method chooses from, by group and name."""
    folders = tuple(config_dirs)
    return {group: catalogue.entries(group, folders) for group in {entry_group(group) for group in GROUPS}}


def experiment_of(protocol: str, config_dirs: Iterable[Path] = ()) -> str | None:
    """Find the experiment of a protocol: that of its name, or of its name without a version; None without any.

    >>> experiment_of("digits_v1"), experiment_of("yin_yang_v2"), experiment_of("digits_tuned_v2")
    ('digits', 'yin_yang_v2', None)
    """
    known = catalogue.paths("experiment", tuple(config_dirs))
    return next((name for name in (protocol, VERSION.sub("", protocol)) if name in known), None)


def _draws(entry: Entry) -> Mapping[int, str]:
    """Read the hash of each seed's data from a protocol's metadata.

    Raises:
        InputError: something else than seeds and hashes stands there.
    """
    given = entry.meta.get("data_sha256") or {}
    good = isinstance(given, dict) and all(
        isinstance(seed, int) and isinstance(text, str) and SHA256.fullmatch(text)
        for seed, text in given.items()
    )
    if not good:
        raise InputError(f"{entry.path}: meta.data_sha256: a hash of 64 digits for each seed is needed")
    return given


def _guess(entry: Entry, key: str, *, high: float = math.inf) -> float | None:
    """Read from a protocol's file the score of an answer without learning, or return None."""
    given = entry.meta.get(key)
    if given is None:
        return None
    return require_number(f"{entry.path}: meta.{key}", given, low=0, high=high, open_low=True)


def deviation(
    record: RunRecord,
    reference: ProtocolReference,
    *,
    known: KnownMethods | None = None,
    trials: bool = False,
) -> str | None:
    """Explain on one line why a record is no row of its protocol's board, or return None if it is one.

    Args:
        record: what was read.
        reference: of its protocol.
        known: keeps what was found of a method for its other seeds.
        trials: whether seeds that settings are chosen with are wanted too.
    """
    if record.failure is not None and record.failure.kind not in METHOD_FAILURES:
        return (
            f"method {record.method_id} seed {record.seed} failed for a reason that is not the method's "
            f"({record.failure.kind}); repeat the run"
        )
    deviations = [*_of_method(record.method, reference, known)]
    if not (trials and record.seed in reference.protocol.trial_seeds):
        deviations += _seed_deviation(record.seed, reference)
    deviations += _fact_deviations(record, reference)
    deviations += [
        line for line in [outside_band(record.method, record.parameters, reference.protocol)] if line
    ]
    if not deviations:
        return None
    more = f"; and {len(deviations) - SHOWN} more" if len(deviations) > SHOWN else ""
    return (
        f"method {record.method_id} seed {record.seed} deviates from {reference.protocol.name}: "
        f"{'; '.join(deviations[:SHOWN])}{more}"
    )


def _of_method(method: Method, reference: ProtocolReference, known: KnownMethods | None) -> tuple[str, ...]:
    if known is None:
        return tuple(deviation.text for deviation in setting_deviations(method, reference))
    return known.once(method, lambda: _of_method(method, reference, None))


def method_deviations(method: Method, seed: int, reference: ProtocolReference) -> Iterator[str]:
    """Yield each deviation of a method from the protocol that it names; all are known before it runs."""
    yield from (deviation.text for deviation in setting_deviations(method, reference))
    yield from _seed_deviation(seed, reference)


def _seed_deviation(seed: int, reference: ProtocolReference) -> Iterator[str]:
    seeds = reference.protocol.seeds
    if reference.protocol.is_tuning_seed(seed):
        yield "its seed is one that settings are chosen with, and reports nothing"
    elif seed not in seeds:
        # A free choice among more seeds would be a choice of results.
        yield f"its seed is not among the protocol's seeds {ranges(seeds)}"


class Deviation(NamedTuple):
    """Says in what a method leaves its protocol, and the word that follows it; None where no single word does."""

    text: str
    word: str | None = None


def setting_deviations(method: Method, reference: ProtocolReference) -> Iterator[Deviation]:
    """Yield each deviation of a method from the protocol that it names, whatever the seed."""
    protocol = reference.protocol
    for key in PROTOCOL_IDENTITY:
        ours, theirs = getattr(protocol, key), getattr(method.protocol, key)
        yield from _differs(f"protocol.{key}", theirs, ours)
    if "clip_norm" not in protocol.free:
        yield from _differs("clip_norm", method.clip_norm, reference.method.clip_norm)
    if method.is_baseline:
        network = reference.entries["network"].get(method.choices["network"])
        yield from map(Deviation, baseline_deviations(method, protocol, network))
    for group in GROUPS:
        if not (method.is_baseline and group in WITHOUT):
            yield from _group_deviations(group, method, reference)


def _group_deviations(group: str, method: Method, reference: ProtocolReference) -> Iterator[Deviation]:
    pick, ours = method.choices[group], reference.method.choices[group]
    free = (*reference.protocol.free, *(["network"] if method.is_baseline else []))
    if group not in free and pick != ours:
        (word,) = choice_words({group: ours}) or [None]
        yield Deviation(f"{group} is {_short(pick)}, the protocol says {_short(ours)}", word)
        return  # the parameters of another entry cannot be compared
    entry = reference.entries[entry_group(group)].get(pick)
    if entry is None:
        yield Deviation(
            f"{group} {_short(pick)} is not in the catalogue; name the folder of your own with --config-dir"
        )
        return
    given, expected = method.parameters[group], reference.method.parameters[group]
    for key in sorted({*given, *entry.parameters}):
        name = f"{group}.{key}"
        if group in free or name in free:
            yield from map(Deviation, _foreign(name, given, entry))
        else:
            yield from _differs(name, _parameter(given, name), _parameter(expected, name))


def _foreign(name: str, given: Mapping[str, Value], entry: Entry) -> Iterator[str]:
    """Yield the reasons why a free parameter is none that the entry could have."""
    key = name.partition(".")[2]
    if key not in entry.parameters:
        yield f"{name} is no parameter of {entry.name}"
    elif key not in given and name not in NEUTRAL:
        yield f"{name} is missing"
    elif not _fits(given.get(key), entry.parameters[key]):
        yield f"{name} is {_short(given[key])}, not of the kind that {entry.name} has by default"


def _fits(value: Value, default: object) -> bool:
    """Return whether a value is of the kind of the entry's default: a switch, a number or numbers, text, a list.

    A default ${...} that stands for a number (`NUMERIC`) wants numbers. Any other reference, and None, accepts
    every value; None as the value always fits.
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
    """Compare what a record says of its data set with what the catalogue says."""
    entry = reference.entries["dataset"].get(record.method.choices["dataset"])
    if entry is None:
        return  # said with the choices
    try:
        ours = entry.name == reference.method.choices["dataset"]
        facts = reference.facts if ours else facts_of(entry)
        per_seed = reference.protocol.draw == "per_seed"
        expected = reference.data_sha256(record.seed) if ours or per_seed else facts.sha256
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
    for name, theirs, ours in stated:
        # A run may fail before its data are read.
        if theirs is not None or record.status == "finished":
            yield from (line.text for line in _differs(name, theirs, ours, who=f"data set {entry.name}"))


def _parameter(parameters: Mapping[str, Value], name: str) -> Value:
    """Look up a parameter, or the frozen value that an older record without it stands for."""
    return parameters.get(name.partition(".")[2], NEUTRAL.get(name, ABSENT))


def _differs(name: str, theirs: Value, ours: Value, *, who: str = "the protocol") -> Iterator[Deviation]:
    if not same(theirs, ours):
        text = canonical(ours)
        word = f"{name}={text}" if len(text) <= SHOWN_CHARS and ours != ABSENT else None
        yield Deviation(f"{name} is {_short(theirs)}, {who} says {_short(ours)}", word)


def _short(value: Value) -> str:
    text = canonical(value)
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 3] + "..."
