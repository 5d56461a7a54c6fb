"""From records to the rows of a board: grouped by method, averaged over seeds, priced and ranked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sgbench.leaderboard.costs import Costs, costs
from sgbench.leaderboard.labels import call, surrogate_call
from sgbench.leaderboard.stats import Place, Summary, counted_accuracies, rank, summarise
from sgbench.records.energy import EnergyTarget
from sgbench.records.method import NEUTRAL, canonical
from sgbench.records.record import RunRecord
from sgbench.records.spec import GROUPS, NEUTRAL_CHOICES, Method, Protocol

Varying = dict[str, dict[str, set[str]]]


@dataclass(frozen=True)
class Row:
    """One method."""

    method_id: str
    place: Place | None
    surrogate: str
    varying: dict[str, str]  # what else tells the rows apart, by group
    accuracy: Summary
    accuracies: dict[int, float]  # by seed; a failed one at chance
    failed_seeds: tuple[int, ...]
    costs: Costs


@dataclass(frozen=True)
class Board:
    """All rows of one protocol, in the order of their places."""

    protocol: Protocol
    targets: tuple[EnergyTarget, ...]
    common: dict[str, str]  # what all rows share, by group
    varying: tuple[str, ...]  # groups in which rows differ, without the surrogate
    rows: tuple[Row, ...]
    classes: int
    test_samples: tuple[int, ...]  # sizes of the test set that the records state: one, if all is well
    latency_s: float | None  # modelled duration of one inference; None where records differ


def make_board(
    records: Iterable[RunRecord], *, protocol: Protocol, targets: Mapping[str, EnergyTarget], classes: int
) -> Board:
    """Group, average, price and rank; the same board from the same records in whatever order.

    Args:
        records: of this protocol; each pair of method and seed once.
        protocol: the catalogue's own, not one that a record carries.
        targets: price lists by name.
        classes: of the protocol's data set, by the catalogue's word: no record can move the chance level.
    """
    ordered = sorted(records, key=lambda record: (record.method_id, record.seed))
    groups: dict[str, list[RunRecord]] = {}
    for record in ordered:
        groups.setdefault(record.method_id, []).append(record)
    methods = [group[0].method for group in groups.values()]
    varying = _varying_parameters(methods)
    chosen = tuple(targets[name] for name in sorted(targets))
    latencies = {record.counts.steps / record.counts.samples for record in ordered if record.counts}
    return Board(
        protocol=protocol,
        targets=chosen,
        common=_common(methods, varying),
        varying=tuple(group for group in varying if group != "surrogate"),
        rows=_rows(groups, varying, classes, protocol, chosen),
        classes=classes,
        test_samples=tuple(sorted({record.test.samples for record in ordered if record.test})),
        latency_s=latencies.pop() * protocol.dt_s if len(latencies) == 1 else None,
    )


def _rows(
    groups: Mapping[str, list[RunRecord]],
    varying: Varying,
    classes: int,
    protocol: Protocol,
    targets: Sequence[EnergyTarget],
) -> tuple[Row, ...]:
    accuracies = {name: _accuracies(group, classes) for name, group in groups.items()}
    summaries = {name: summarise(list(values.values())) for name, values in accuracies.items()}
    places = rank(summaries)
    rows = []
    for name, group in groups.items():
        method = group[0].method
        pick = method.choices["surrogate"]
        row = Row(
            method_id=name,
            place=places[name],
            surrogate=surrogate_call(pick, method.parameters["surrogate"]),
            varying=_labels(method, varying),
            accuracy=summaries[name],
            accuracies=accuracies[name],
            failed_seeds=tuple(record.seed for record in group if record.status == "failed"),
            costs=costs(group, targets=targets, dt_s=protocol.dt_s),
        )
        rows.append(row)
    return tuple(sorted(rows, key=_order))


def _order(row: Row) -> tuple[float, float, str]:
    place = math.inf if row.place is None else row.place.rank
    return place, -row.accuracy.mean, row.method_id


def _accuracies(group: Sequence[RunRecord], classes: int) -> dict[int, float]:
    tested = [record.test.accuracy if record.test else None for record in group]
    found = counted_accuracies(tested, classes=classes)
    return {record.seed: value for record, value in zip(group, found, strict=True)}


def _varying_parameters(methods: Sequence[Method]) -> Varying:
    """By group and choice, the parameters in which methods of that choice differ; groups that all share are out."""
    found: Varying = {}
    for group in GROUPS:
        picks = sorted({method.choices[group] for method in methods})
        by_pick = {
            pick: _differing([method for method in methods if method.choices[group] == pick], group)
            for pick in picks
        }
        if len(by_pick) > 1 or any(by_pick.values()):
            found[group] = by_pick
    if len({canonical(method.clip_norm) for method in methods}) > 1:
        found["clip_norm"] = {}
    return found


def _differing(methods: Sequence[Method], group: str) -> set[str]:
    keys = {key for method in methods for key in method.parameters[group]}
    return {key for key in keys if len({_text(method, group, key) for method in methods}) > 1}


def _text(method: Method, group: str, key: str) -> str:
    return canonical(method.parameters[group].get(key, NEUTRAL.get(f"{group}.{key}")))


def _labels(method: Method, varying: Varying) -> dict[str, str]:
    """What tells a method apart, by group: its choice, and what differs among methods of that choice."""
    found = {}
    for group, by_pick in varying.items():
        if group == "clip_norm":
            found[group] = _clip_text(method)
        elif group != "surrogate":
            pick, parameters = method.choices[group], method.parameters[group]
            found[group] = call(pick, {key: parameters[key] for key in parameters if key in by_pick[pick]})
    return found


def _common(methods: Sequence[Method], varying: Varying) -> dict[str, str]:
    """What methods share, by group; where choices differ, what those of one choice share."""
    found: dict[str, list[str]] = {}
    for group in GROUPS:
        plain = all(method.choices[group] == NEUTRAL_CHOICES.get(group) for method in methods)
        for method in () if plain or group == "surrogate" else methods:
            pick, parameters = method.choices[group], method.parameters[group]
            differing = varying.get(group, {}).get(pick, set())
            text = call(pick, {key: value for key, value in parameters.items() if key not in differing})
            if text not in found.setdefault(group, []):
                found[group].append(text)
    shared = {group: " or ".join(sorted(texts)) for group, texts in found.items()}
    if methods and "clip_norm" not in varying:
        shared["clip_norm"] = _clip_text(methods[0])
    return shared


def _clip_text(method: Method) -> str:
    return "none" if method.clip_norm is None else f"{method.clip_norm:.6g}"
