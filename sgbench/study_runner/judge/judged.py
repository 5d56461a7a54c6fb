"""Judge a candidate: run it, decide, and write the files of the verdict."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sgbench.energy.price import chosen_targets
from sgbench.errors import InputError, require_count
from sgbench.leaderboard.deviation import References, deviation
from sgbench.paths import JUDGED, default_runs_dir
from sgbench.recommendation.summary import read_summary, shipped_summary
from sgbench.records.files import write_atomic
from sgbench.records.record import RunRecord
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.judge.decide import LOOKS
from sgbench.study_runner.judge.field import SETS, judged_tasks, named_tasks, titles
from sgbench.study_runner.judge.page import ShownVerdict, files_of
from sgbench.study_runner.judge.trial import OWN_BEST, Candidate, Court, TaskTrial, TrialFolders
from sgbench.study_runner.run import replicas
from sgbench.submissions.make import Author, SubmissionSummary, comparable_runs, make
from sgbench.submissions.tuning import best, make_log


def hand_in(court: Court, to: Path, author: Author, references: References) -> tuple[str, ...]:
    """Make a submission to a board for each task whose protocol accepts the candidate's runs.

    A board requires more than a verdict: each tried setting with all tuning seeds of the protocol, and the selected
    setting with the protocol's smallest set of reporting seeds. Missing runs are trained. Returns a line for each task,
    with the folder of its submission or the reason why there is none.
    """
    lines = []
    for trial in court.trials:
        try:
            outcome = _submit(court, trial, to, author, references).folder
        except InputError as error:
            outcome = f"no submission: {error}"
        lines.append(f"{trial.task.title}: {outcome}")
    return tuple(lines)


def _submit(court: Court, trial: TaskTrial, to: Path, author: Author, references: References) -> SubmissionSummary:
    """Run what a protocol asks of a tuned method, tuning and reporting seeds, and make the submission."""
    first = next(iter(trial.report[OWN_BEST].values())).record
    reference = references.of(first.protocol)
    protocol, source = reference.protocol, court.folders.runs_dir
    reason = deviation(first, reference)
    if reason is not None:
        raise InputError(f"method {first.method_id} seed {first.seed} {reason}")
    tried, _, _ = comparable_runs(source, references, protocol.name)
    cells: list[Cell] = []
    for record in tried:
        cell = _cell_of(record, has_width=court.candidate.has_width)
        if record.seed in protocol.trial_seeds and cell not in cells:
            cells.append(cell)
    points = [(cell, seed) for cell in cells for seed in protocol.trial_seeds]
    records = [run.record for run in court.runs_of(trial.task, "submission, tuning seeds", points)]
    chosen = best(make_log(first.method, first.method_id, records).trials, protocol)
    if chosen is None:
        raise InputError("each setting has a failed run, so that validation selects none")
    selected = next(record for record in records if record.method_id == chosen)
    cell = _cell_of(selected, has_width=court.candidate.has_width)
    seeds = protocol.complete_seeds[0]
    court.runs_of(trial.task, "submission, reporting seeds", [(cell, seed) for seed in seeds])
    return make(source, to, author, references=references, method=chosen, protocol=protocol.name)


def _cell_of(record: RunRecord, *, has_width: bool) -> Cell:
    """Return the settings that a run was tuned in: its learning rate, and its width if the surrogate has one."""
    parameters = record.method.parameters
    values = {"optimizer.lr": parameters["optimizer"]["lr"]}
    if has_width:
        values["width_fwhm"] = parameters["surrogate"]["width_fwhm"]
    return {key: value for key, value in values.items() if isinstance(value, float | int)}


STUDY = "surrogates"
FEW_SEEDS = 2
MAP_SEEDS = {"quick": FEW_SEEDS, "whole": 5}
"""Count of seeds of the map of widths, by the set of tasks; named tasks have FEW_SEEDS."""


def judge(  # noqa: PLR0913 - its keywords are those of the command
    *overrides: str,
    tasks: str | Sequence[str] = "quick",
    to: Path | None = None,
    calibrated: bool = False,
    most_seeds: int = LOOKS[-1][0],
    targets: Sequence[str] = (),
    runs_dir: Path | None = None,
    data_dir: Path | None = None,
    workers: int = 1,
    say: Callable[[str], None] = lambda _: None,
    config_dirs: Sequence[Path] = (),
    allow_targets: Sequence[str] = (),
    author: Author | None = None,
) -> ShownVerdict:
    """Judge a surrogate against the known ones of the study (shapes), each at its own best, by kind of network.

    Only the candidate is run: a map of widths, a search around its best, then reporting seeds until each kind of
    network has a verdict or stored seeds end. Runs with a record are not repeated.

    The example takes minutes:

    >>> verdict = judge("formula", "surrogate.formula='1/(1+abs(a*u))**3'", to=Path("verdict"))  # doctest: +SKIP

    Args:
        overrides: Hydra overrides that choose the candidate; the first may be the name of an entry, e.g. "formula",
            "surrogate.formula='...'".
        tasks: "quick", "whole", or titles or names of the study's tasks, e.g. "digits, one layer".
        to: folder for the files of the verdict; None writes none.
        calibrated: whether to run recurrent tasks also at the calibrated width, for a second verdict.
        most_seeds: most reporting seeds; with fewer than those of the last analysis more verdicts stay open.
        targets: names of energy targets on which its energy is reported.
        runs_dir: folder of its runs.
        data_dir: folder of files of data sets.
        workers: count of processes that train.
        say: called with one line for each stage, with a time.
        config_dirs: folders with your own entries.
        allow_targets: exact names of classes outside the catalogue that may be imported.
        author: of submissions to boards, which are made in the folder `submission` of `to`; None makes none.

    Returns:
        The candidate with its runs, and a verdict for each kind of network.

    Raises:
        InputError: no such surrogate, task or target, too few seeds, missing data, no width that could be
            calibrated, or a run that cannot be composed.
        StorageError: a file cannot be written.
    """
    require_count("--seeds", most_seeds, low=LOOKS[0][0])
    prices = chosen_targets(targets, config_dirs) if targets else {}
    summary = read_summary(shipped_summary())
    names, map_seeds = _tasks_and_map_seeds(tasks, titles(summary))
    candidate = Candidate.of(overrides, config_dirs)
    judged = judged_tasks(load_study(STUDY).study, summary, names)
    folders = TrialFolders(runs_folder(candidate, runs_dir), data_dir, tuple(config_dirs), tuple(allow_targets))
    options: dict[str, Any] = {"runner": replicas(workers), "say": say, "most_seeds": most_seeds}
    court = Court(candidate, judged, folders, map_seeds=map_seeds, **options)
    court.require_possible(calibrated=calibrated)
    judged_candidate = court.judge(calibrated=calibrated)
    result = ShownVerdict(judged_candidate.candidate, judged_candidate.tasks)
    if to is not None:
        for name, data in files_of(result, prices).items():
            write_atomic(to / name, data)
        if author is not None:
            references = References(config_dirs, allow_targets)
            result = replace(result, handed_in=hand_in(court, to / "submission", author, references))
    return result


def _tasks_and_map_seeds(tasks: str | Sequence[str], known: Mapping[str, str]) -> tuple[Sequence[str], int]:
    """Return the tasks to judge on, and the seeds of each point of the map of widths."""
    if isinstance(tasks, str) and tasks in SETS:
        return SETS[tasks], MAP_SEEDS[tasks]
    texts = [tasks] if isinstance(tasks, str) else tasks
    names = dict.fromkeys(name for text in texts for name in named_tasks(text, known))
    if not names:
        raise InputError(f"--tasks: {', '.join(SETS)} or a task is needed: {'; '.join(known.values())}")
    return [*names], FEW_SEEDS


def runs_folder(candidate: Candidate, runs_dir: Path | None) -> Path:
    if runs_dir is not None:
        return runs_dir
    entry = candidate.overrides[0].partition("=")[2].replace("/", "_")
    digest = hashlib.sha256("\0".join(candidate.overrides).encode()).hexdigest()[:8]
    return default_runs_dir() / JUDGED / f"{entry}_{digest}"
