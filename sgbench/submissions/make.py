"""Makes a submission: a folder with the runs of one method, or with the predictions of code outside the catalogue."""

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sgbench.composition.overrides import seed_override
from sgbench.errors import InputError, suggest
from sgbench.leaderboard.deviation import ProtocolReference, References
from sgbench.leaderboard.division import division_of
from sgbench.leaderboard.store.predictions import (
    MAX_PREDICTION_BYTES,
    Judge,
    Outputs,
    Predictions,
    PredictionTable,
    parse_prediction_table,
)
from sgbench.leaderboard.store.reading import Finding
from sgbench.leaderboard.store.sources import require_same_source
from sgbench.leaderboard.store.tree import read_runs
from sgbench.paths import PREDICTIONS, RECORD, WEIGHTS
from sgbench.records.base import Contact, Licence, Link, Paper, Strict, Title
from sgbench.records.files import PRUNED, Asked, Pruned, read_bytes, read_journals, read_model, to_json, write_folder
from sgbench.records.method import canonical, identity
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method, Protocol
from sgbench.records.submission import (
    SUBMISSION_VERSION,
    Environment,
    ExternalRecord,
    FileNote,
    Submission,
    external_id,
)
from sgbench.submissions.folder import FOLDERS, SUBMISSION, TUNING
from sgbench.submissions.tuning import StoppedTrial, best, changes, id_of, make_log
from sgbench.tables import ranges


def read_searches(folder: Path, chosen: Method) -> tuple[dict[str, int], list[StoppedTrial]]:
    """Read the journals of searches in a protocol's runs folder.

    Return the number of the study that tried each setting, by method id, and the runs that were stopped early. Only
    settings that differ from the submitted method `chosen` by searched numbers alone count.
    """
    ours = identity(chosen)
    studies: dict[str, int] = {}
    stopped: list[StoppedTrial] = []
    trials = (trial for journal in read_journals(folder) for trial in journal.asked)
    for trial in trials:
        settings = changes(ours, {**ours, **{key: canonical(value) for key, value in trial.setting.items()}})
        # Equal ids show that the trial's method has no other difference than the searched numbers.
        if trial.method_id not in studies and id_of(ours, settings) == trial.method_id:
            studies[trial.method_id] = trial.study
            stopped += [StoppedTrial(settings, pruned) for pruned in _pruned(folder, trial, chosen)]
    return studies, stopped


def _pruned(folder: Path, trial: Asked, chosen: Method) -> Iterator[Pruned]:
    """Yield the runs of a trial that the search stopped early; one that was finished later has a record instead."""
    for seed in chosen.protocol.trial_seeds:
        run = folder / trial.method_id / str(seed)
        with contextlib.suppress(InputError):
            pruned = read_model(run / PRUNED, Pruned)
            if not (run / RECORD).exists() and (pruned.method_id, pruned.seed) == (trial.method_id, seed):
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
    left_out: tuple[Finding, ...]  # runs of the protocol that are not comparable, each with the reason


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

    `source`: a runs folder, or one inside it; `target`: folder in which <protocol>/<method_id> is made; `method`: the
    id of the method, or its beginning, if the runs are of several.
    """
    records, folders, left_out = comparable_runs(source, references, protocol)
    chosen = _choose_method(records, method)
    submitted = next(record.method for record in records if record.method_id == chosen)
    reference = references.of(submitted.protocol.name)
    seeds = _complete_seeds(records, chosen, reference.protocol)
    ours = [record for record in records if record.method_id == chosen and record.seed in seeds]
    for record in ours:
        require_same_source(record, ours[0])
    trials = reference.protocol.trial_seeds
    tried = [record for record in records if record.method.choices == submitted.choices and record.seed in trials]
    studies, stopped = read_searches(next(iter(folders.values())).parent.parent, submitted)
    log = make_log(submitted, chosen, tried, stopped, studies)
    files = _files(ours, folders) | {TUNING: to_json(log)}
    submission = Submission.model_validate(
        head_of(author, submitted.protocol.name, chosen, files)
        | {
            "division": division_of(submitted, reference),
            "method": submitted.model_dump(),
            "seeds": seeds,
            "data_sha256": None if submitted.protocol.draw == "per_seed" else ours[0].provenance.data_sha256,
            "environment": Environment(
                **{name: getattr(ours[0].provenance, name) for name in Environment.model_fields}
            ),
            "tuning_trials": len({trial.method_id for trial in log.trials}),
        }
    )
    return replace(write(target, submission, files), left_out=left_out)


def comparable_runs(
    source: Path, references: References, protocol: str | None
) -> tuple[list[RunRecord], Mapping[tuple[str, int], Path], tuple[Finding, ...]]:
    """Read the records of a folder that follow one protocol.

    Returns the records; the folder of each, by method id and seed; and the records that are left out, with reasons.
    """
    runs = read_runs(source, references=references, trials=True)
    names = sorted({record.protocol for record, _ in runs.records})
    if protocol is None and len(names) > 1:
        raise InputError(f"{source}: runs of {', '.join(names)}; choose one with --protocol")
    chosen = [(record, path) for record, path in runs.records if protocol in (None, record.protocol)]
    if not chosen:
        unusable = [finding for finding in runs.findings if protocol is None or f"/{protocol}/" in finding.path]
        if protocol is not None and names and not unusable:
            raise InputError(f"--protocol {protocol}: no run of it in {source}; {suggest(protocol, names)}")
        more = f"; first: {unusable[0]}" if unusable else ""
        raise InputError(f"{source}: no comparable run{more}")
    records = [record for record, _ in chosen]
    folders = {(record.method_id, record.seed): path.parent for record, path in chosen}
    left_out = tuple(finding for finding in runs.findings if f"/{records[0].protocol}/" in f"/{finding.path}")
    return records, folders, left_out


def _choose_method(records: Sequence[RunRecord], asked: str | None) -> str:
    """Return the id of the method to submit: the one whose id begins with `asked`, else the one validation selects."""
    names = sorted({record.method_id for record in records})
    if asked is not None:
        matching = [name for name in names if name.startswith(asked)]
        if len(matching) != 1:
            raise InputError(f"--method {asked}: {'several methods begin so' if matching else suggest(asked, names)}")
        return matching[0]
    kinds = {tuple(sorted(record.method.choices.items())) for record in records}
    if len(kinds) > 1:
        labels = sorted({f"{record.method.label} {record.method_id}" for record in records})
        raise InputError(f"runs of several methods; choose one with --method ID: {', '.join(labels[:12])}")
    if len(names) == 1:
        return names[0]
    first = records[0]
    protocol = first.method.protocol
    log = make_log(first.method, first.method_id, [record for record in records if record.seed in protocol.trial_seeds])
    chosen = best(log.trials, protocol)
    if chosen is None:
        raise InputError("every setting has a failed run, so validation selects none; choose with --method ID")
    return chosen


def _complete_seeds(records: Sequence[RunRecord], chosen: str, protocol: Protocol) -> tuple[int, ...]:
    """Return the largest set of the protocol's seeds that the chosen method has records of all of."""
    present = {record.seed for record in records if record.method_id == chosen}
    for seeds in reversed(protocol.complete_seeds):
        if present >= set(seeds):
            return seeds
    lacking = sorted({*protocol.complete_seeds[0]} - present)
    raise InputError(
        f"method {chosen} lacks seeds {ranges(lacking)} of the protocol; run it with -m {seed_override(lacking)}"
    )


def _files(records: Sequence[RunRecord], folders: Mapping[tuple[str, int], Path]) -> dict[str, bytes]:
    """Return the files of a submission by path: records, and predictions and weights of finished runs."""
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


def head_of(author: Author, protocol: str, name: str, files: Mapping[str, bytes]) -> dict[str, object]:
    """Return the fields of submission.json on author, method (of id `name`), files and date; others are added."""
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
    """Write submission.json and the other files into <target>/<protocol>/<method_id>."""
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


def make_external(
    source: Path,
    target: Path,
    author: Author,
    *,
    references: References,
    judge: Judge,
    protocol: str,
    failed: Sequence[int] = (),
) -> SubmissionSummary:
    """Write the submission of code outside the catalogue from its predictions, one file <seed>.csv in `source` a seed.

    `judge`: computes losses. `failed`: seeds whose run failed, without a file.
    """
    reference = references.of(protocol)
    if author.code is None:
        raise InputError("--code: the address of the code that was run is needed with --external")
    name = external_id(protocol, author.name, author.code)
    results = _results(source, reference, failed)
    files = {f"predictions/{seed}.csv": result.data for seed, result in results.items() if result is not None}
    if not files:
        raise InputError(f"{source}: no seed finished, so there is nothing to hand in")
    for seed, result in results.items():
        record = _external_record(name, seed, result, reference, judge)
        files[f"records/{seed}.json"] = to_json(record)
    submission = Submission.model_validate(
        head_of(author, protocol, name, files)
        | {
            "division": "external",
            "method": None,
            "seeds": reference.protocol.seeds,
            "data_sha256": None,
            "environment": None,
            "tuning_trials": 0,
        }
    )
    return write(target, submission, files)


class _Result(NamedTuple):
    """Holds the predictions of one seed, and the bytes of their file."""

    predictions: PredictionTable
    data: bytes


def _results(source: Path, reference: ProtocolReference, failed: Sequence[int]) -> dict[int, _Result | None]:
    """Map each seed of the protocol to its predictions; a failed one to None."""
    seeds = reference.protocol.seeds
    for seed in failed:
        if seed not in seeds:
            raise InputError(f"--failed {seed}: no seed of {reference.protocol.name}, which has {ranges(seeds)}")
    results: dict[int, _Result | None] = dict.fromkeys(failed)
    for seed in seeds:
        if seed in results:
            continue
        path = source / f"{seed}.csv"
        if not path.is_file():
            raise InputError(f"{path}: no predictions of seed {seed}; make them, or say --failed {seed}")
        # Python's csv writes \r\n by default; submissions have \n.
        data = read_bytes(path, limit=MAX_PREDICTION_BYTES).replace(b"\r\n", b"\n")
        results[seed] = _Result(parse_prediction_table(data, str(path), reference), data)
    return results


def _external_record(
    name: str, seed: int, result: _Result | None, reference: ProtocolReference, judge: Judge
) -> ExternalRecord:
    """Make the record of one seed from its predictions; without any, the seed has failed."""
    predictions = None if result is None else result.predictions
    by_class = predictions if isinstance(predictions, Predictions) else None
    labels_steps = by_class is not None and by_class.steps is not None  # then a line is a step, not a sample
    samples = reference.test_samples if predictions is None or labels_steps else len(predictions.target)
    return ExternalRecord(
        schema_version=SUBMISSION_VERSION,
        protocol=reference.protocol.name,
        method_id=name,
        seed=seed,
        status="failed" if predictions is None else "finished",
        samples=samples,
        accuracy=None if by_class is None else by_class.accuracy,
        predictions_sha256=None if result is None else hashlib.sha256(result.data).hexdigest(),
        loss=judge.loss_of(predictions, reference) if isinstance(predictions, Outputs) else None,
        labels=len(by_class.target) if by_class is not None and labels_steps else None,
    )
