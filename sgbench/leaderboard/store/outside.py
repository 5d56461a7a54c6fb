"""Reads and stores results of code outside the catalogue, which boards show without a rank."""

from dataclasses import dataclass
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.method_provenance import MethodProvenance, Provenances
from sgbench.leaderboard.store.predictions import claim_of
from sgbench.leaderboard.store.reading import Finding, finding
from sgbench.records.files import read_model, to_json, write_atomic
from sgbench.records.method import by_method
from sgbench.records.submission import ExternalRecord
from sgbench.statistics.intervals import Summary

EXTERNAL = "external"


@dataclass(frozen=True)
class Outsider:
    """Holds one submitted result of code outside the catalogue."""

    method_id: str
    score: Summary  # mean of `scores` with its interval
    scores: dict[int, float]  # test accuracy or loss by seed; a failed seed has the score of guessing
    failed_seeds: tuple[int, ...]
    provenance: MethodProvenance


def read_outsiders(
    folder: Path, provenances: Provenances, *, measure: Measure
) -> tuple[tuple[Outsider, ...], list[Finding]]:
    """Read the results of outside code of one protocol, the best first, and a finding for each that is left out."""
    start = folder / EXTERNAL
    findings: list[Finding] = []
    records: list[ExternalRecord] = []
    for path in sorted(start.rglob("*.json")) if start.is_dir() and not start.is_symlink() else ():
        try:
            record = read_model(path, ExternalRecord)
            if path != place_of_external(folder, record) or record.protocol != folder.name:
                raise InputError(f"{path}: misplaced: it speaks of {record.method_id} seed {record.seed}")
            if provenances.of(record.method_id).submission is None:
                raise InputError(f"{path}: no submission says whose result this is")
            claim = claim_of(record)
            if claim is not None and (claim.loss is None) == measure.is_loss:
                raise InputError(f"{path}: does not state the {measure.kind}, which the protocol compares")
            records.append(record)
        except InputError as error:
            findings.append(finding(path, error))
    outsiders = [_outsider(group, provenances, measure) for group in by_method(records).values()]
    outsiders.sort(key=lambda row: (row.provenance.notice is not None, -measure.better(row.score.mean), row.method_id))
    return tuple(outsiders), findings


def _outsider(group: list[ExternalRecord], provenances: Provenances, measure: Measure) -> Outsider:
    """Summarise one method's external records; a failed seed counts as guessing."""
    group.sort(key=lambda record: record.seed)
    claims = [claim_of(record) for record in group]
    values = [measure.guess if claim is None else claim.score for claim in claims]
    return Outsider(
        method_id=group[0].method_id,
        score=measure.summarise(values),
        scores={record.seed: value for record, value in zip(group, values, strict=True)},
        failed_seeds=tuple(record.seed for record in group if record.status == "failed"),
        provenance=provenances.of(group[0].method_id),
    )


def place_of_external(folder: Path, record: ExternalRecord) -> Path:
    return folder / EXTERNAL / record.method_id / f"{record.seed}.json"


def place_external(folder: Path, record: ExternalRecord) -> Path:
    """Write a record of outside code once, and return its path."""
    path = place_of_external(folder, record)
    if path.is_symlink() or path.exists():
        if read_model(path, ExternalRecord) != record:
            raise InputError(f"{path} holds another result of this seed, which is never overwritten")
        return path
    write_atomic(path, to_json(record))
    return path
