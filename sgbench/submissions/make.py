"""Make a submission, a folder with the finished runs of one method."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sgbench.composition.words import seed_word
from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.division import division_of
from sgbench.leaderboard.store.sources import require_same_source
from sgbench.leaderboard.store.tree import read_runs
from sgbench.paths import PREDICTIONS, RECORD, WEIGHTS
from sgbench.records.base import Strict
from sgbench.records.files import read_bytes, read_model, to_json, write_folder
from sgbench.records.method import canonical, identity
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, Protocol
from sgbench.records.submission import (
    SUBMISSION_VERSION,
    Environment,
    FileNote,
    Submission,
)
from sgbench.records.text import Contact, Licence, Link, Paper, Title
from sgbench.records.tuning import PRUNED, Asked, Pruned, read_journals
from sgbench.submissions.folder import FOLDERS, SUBMISSION, TUNING
from sgbench.submissions.tuning import StoppedTrial, best, changes, id_of, make_log
from sgbench.tables import ranges


def searched(folder: Path, chosen: Method) -> tuple[dict[str, int], list[StoppedTrial]]:
    """Collect the study of each searched setting by method id, and the runs that were stopped early.

    Only settings that differ from the submitted method by searched numbers alone are its tuning. A line of a
    journal counts if it states the id of its setting.
    """
    ours = identity(chosen)
    studies: dict[str, int] = {}
    stopped: list[StoppedTrial] = []
    for asked in (asked for journal in read_journals(folder) for asked in journal.asked):
        settings = changes(ours, {**ours, **{key: canonical(value) for key, value in asked.setting.items()}})
        if asked.method_id not in studies and id_of(ours, settings) == asked.method_id:
            studies[asked.method_id] = asked.study
            stopped += [StoppedTrial(settings, pruned) for pruned in _pruned(folder, asked, chosen)]
    return studies, stopped


def _pruned(folder: Path, asked: Asked, chosen: Method) -> Iterator[Pruned]:
    """Yield the runs of a setting that were stopped early and never finished."""
    for seed in chosen.protocol.trial_seeds:
        run = folder / asked.method_id / str(seed)
        with contextlib.suppress(InputError):
            pruned = read_model(run / PRUNED, Pruned)
            if not (run / RECORD).exists() and (pruned.method_id, pruned.seed) == (asked.method_id, seed):
                yield pruned


class Author(Strict):
    """Names the author of a submission, and its licence."""

    name: Title
    contact: Contact
    paper: Paper | None = None
    code: Link | None = None
    licence: Licence = "CC-BY-4.0"


@dataclass(frozen=True)
class SubmissionSummary:
    """Summarises the submission that was written."""

    folder: str
    protocol: str
    method_id: str
    division: str
    seeds: tuple[int, ...]
    tuning_trials: int
    left_out: tuple[str, ...]  # runs of the protocol that are not comparable, each with the reason


def make(
    source: Path,
    target: Path,
    author: Author,
    *,
    references: References,
    method: str | None = None,
    protocol: str | None = None,
) -> SubmissionSummary:
    """Write the submission of one method: its records with the files that check them.

    The method is the one that validation selects among the runs with its entries; runs with other numbers are its
    tuning. Failed seeds are submitted like others.

    Args:
        source: a runs folder, or one inside it.
        target: folder in which <protocol>/<method_id> is made.
        author: of the submission.
        references: of the protocols.
        method: the id of the method, or its beginning, if the runs are of several.
        protocol: name of the protocol, if the runs are of several.

    Raises:
        InputError: runs are missing, ambiguous or not comparable; the line has the remedy.
        StorageError: the folder cannot be written.
    """
    records, folders, left_out = comparable_runs(source, references, protocol)
    chosen = _chosen(records, method)
    of = next(record.method for record in records if record.method_id == chosen)
    reference = references.of(of.protocol.name)
    seeds = _complete(records, chosen, reference.protocol)
    ours = _of_one_source(
        [record for record in records if record.method_id == chosen and record.seed in seeds]
    )
    trials = reference.protocol.trial_seeds
    tried = [record for record in records if record.method.choices == of.choices and record.seed in trials]
    studies, stopped = searched(next(iter(folders.values())).parent.parent, of)
    log = make_log(of, chosen, tried, stopped, studies)
    files = _files(ours, folders) | {TUNING: to_json(log)}
    submission = Submission.model_validate(
        head_of(author, of.protocol.name, chosen, files)
        | {
            "division": division_of(of, reference),
            "method": of.model_dump(),
            "seeds": seeds,
            "data_sha256": None if of.protocol.draw == "per_seed" else ours[0].provenance.data_sha256,
            "environment": _environment(ours[0]),
            "tuning_trials": len({trial.method_id for trial in log.trials}),
        }
    )
    return replace(write(target, submission, files), left_out=left_out)


def comparable_runs(
    source: Path, references: References, protocol: str | None
) -> tuple[list[RunRecord], Mapping[tuple[str, int], Path], tuple[str, ...]]:
    """Read the records of a folder that follow one protocol, with their folders and the reasons of others.

    Args:
        source: a runs folder, or one inside it.
        references: of the protocols.
        protocol: name of the protocol, if the runs are of several.

    Raises:
        InputError: there is no such run, or runs are of several protocols.
    """
    runs = read_runs(source, references=references, trials=True)
    names = sorted({record.protocol for record, _ in runs.records})
    if protocol is None and len(names) > 1:
        raise InputError(f"{source}: runs of {', '.join(names)}; choose one with --protocol")
    chosen = [(record, path) for record, path in runs.records if protocol in (None, record.protocol)]
    if not chosen:
        left = [finding for finding in runs.findings if protocol is None or f"/{protocol}/" in finding.path]
        if protocol is not None and names and not left:
            raise InputError(f"--protocol {protocol}: no run of it in {source}; {suggest(protocol, names)}")
        more = f"; first: {left[0].path}: {left[0].reason}" if left else ""
        raise InputError(f"{source}: no comparable run{more}")
    folders = {(record.method_id, record.seed): path.parent for record, path in chosen}
    folder = f"/{chosen[0][0].protocol}/"
    left_out = tuple(
        f"{finding.path}: {finding.reason}" for finding in runs.findings if folder in f"/{finding.path}"
    )
    return [record for record, _ in chosen], folders, left_out


def _chosen(records: Sequence[RunRecord], asked: str | None) -> str:
    names = sorted({record.method_id for record in records})
    if asked is not None:
        matching = [name for name in names if name.startswith(asked)]
        if len(matching) != 1:
            raise InputError(
                f"--method {asked}: {'several methods begin so' if matching else suggest(asked, names)}"
            )
        return matching[0]
    kinds = {tuple(sorted(record.method.choices.items())) for record in records}
    if len(kinds) > 1:
        labels = sorted({f"{record.method.label} {record.method_id}" for record in records})
        raise InputError(f"runs of several methods; choose one with --method ID: {', '.join(labels[:12])}")
    if len(names) == 1:
        return names[0]
    first = records[0]
    protocol = first.method.protocol
    log = make_log(
        first.method, first.method_id, [record for record in records if record.seed in protocol.trial_seeds]
    )
    chosen = best(log.trials, protocol)
    if chosen is None:
        raise InputError(
            "every setting has a failed run, so validation selects none; choose with --method ID"
        )
    return chosen


def _complete(records: Sequence[RunRecord], chosen: str, protocol: Protocol) -> tuple[int, ...]:
    """Return the largest set of a protocol's seeds for which a method has all runs.

    Raises:
        InputError: runs of the smallest set are missing.
    """
    there = {record.seed for record in records if record.method_id == chosen}
    for seeds in reversed(protocol.complete_seeds):
        if there >= set(seeds):
            return seeds
    lacking = sorted({*protocol.complete_seeds[0]} - there)
    raise InputError(
        f"method {chosen} lacks seeds {ranges(lacking)} of the protocol; run it with -m {seed_word(lacking)}"
    )


def _of_one_source(records: list[RunRecord]) -> list[RunRecord]:
    """Return the records if all have the same source of a user's own classes, else raise an InputError."""
    for record in records:
        require_same_source(record, records[0])
    return records


def _files(records: Sequence[RunRecord], folders: Mapping[tuple[str, int], Path]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for record in records:
        files[f"records/{record.seed}.json"] = to_json(record)
        if record.status == "failed":
            continue
        folder = folders[record.method_id, record.seed]
        for kind, name in (("predictions", PREDICTIONS), ("weights", WEIGHTS)):
            suffix, max_bytes = FOLDERS[kind]
            files[f"{kind}/{record.seed}.{suffix}"] = read_bytes(folder / name, limit=max_bytes)
    return files


def _environment(record: RunRecord) -> Environment:
    provenance = record.provenance
    return Environment(**{name: getattr(provenance, name) for name in Environment.model_fields})


def head_of(author: Author, protocol: str, name: str, files: Mapping[str, bytes]) -> dict[str, object]:
    """Build the content of submission.json: author, method and files."""
    notes = [
        FileNote(path=path, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        for path, data in sorted(files.items())
    ]
    return {
        "schema_version": SUBMISSION_VERSION,
        "protocol": protocol,
        "method_id": name,
        "name": author.name,
        "contact": author.contact,
        "paper": author.paper,
        "code": author.code,
        "licence": author.licence,
        "files": tuple(notes),
        "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def write(target: Path, submission: Submission, files: Mapping[str, bytes]) -> SubmissionSummary:
    """Write the submission's folder atomically.

    Raises:
        InputError: it is there already.
        StorageError: it cannot be written.
    """
    folder = target / submission.protocol / submission.method_id
    write_folder(folder, {**files, SUBMISSION: to_json(submission)})
    return SubmissionSummary(
        folder=str(folder),
        protocol=submission.protocol,
        method_id=submission.method_id,
        division=submission.division,
        seeds=submission.seeds,
        tuning_trials=submission.tuning_trials,
        left_out=(),
    )
