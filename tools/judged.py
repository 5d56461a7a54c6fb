"""Pages of judged surrogates, written from stored runs: `python -m tools.judged`; nothing is trained.

`python -m tools.judged keep NAME RUNS` stores the runs of `sgbench judge` in a folder, as those of one of the
candidates in `study/judged/candidates.yaml`. `python -m tools.judged train RUNS` makes the runs of the
convolutional comparison.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from sgbench.composition.plan import PointComposer
from sgbench.errors import InputError, suggest
from sgbench.recommendation.summary import read_summary, shipped_summary
from sgbench.records.base import Number, Positive, Strict, Text
from sgbench.records.calibration import AUTO
from sgbench.records.files import write_atomic
from sgbench.records.record import RunRecord
from sgbench.records.spec import RunSpec
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.judge.decide import LOOKS, decide
from sgbench.study_runner.judge.field import JudgedTask, judged_tasks
from sgbench.study_runner.judge.judged import FEW_SEEDS, STUDY
from sgbench.study_runner.judge.page import files_of
from sgbench.study_runner.judge.trial import (
    FIRST_REPORT,
    TUNING_SEEDS,
    Candidate,
    Court,
    JudgedCandidate,
    TrialFolders,
    TrialRun,
    run_of,
)
from sgbench.study_runner.run import HOUR_S, RunKey, is_result, key_of, replicas
from sgbench.study_runner.store import Store, StoreEntry
from sgbench.tables import number_text
from sgbench.tables.markup import as_markdown
from sgbench.tables.table import Table, plain_table
from sgbench.training.calibration import with_width
from sgbench.training.run_folder import stored_record
from study.reporting.report import Passage

ROOT = Path(__file__).resolve().parents[1]
PAGES, STORE = ROOT / "docs" / "judged", ROOT / "study" / "judged"
CONVOLUTIONAL = "convolutional"
NETWORK = (
    "experiment=digits",
    "network=conv",
    "normalisation=tdbn",
    "encoder=direct",
    "protocol.steps=4",
    "protocol.epochs=8",
)
COMPARED = {
    "atan": tuple(("surrogate=atan", f"width_fwhm={width}") for width in (0.5, 1.0, 2.0)),
    "rising_window": (("surrogate=rising_window", "surrogate.normalisation=raw"),),
    "mpd_agl": (("surrogate=mpd_agl",),),
    "a2sg": (("surrogate=a2sg",),),
}
"""By name, the settings that are tried at each learning rate; the others are compared with the first name."""
RATES = (0.001, 0.004, 0.016)
NO_TRAINING: dict[str, Any] = {"runner": lambda specs: None, "say": lambda line: None, "map_seeds": FEW_SEEDS}
"""Arguments of a court that trains nothing."""
REPORTED = range(FIRST_REPORT, FIRST_REPORT + LOOKS[0][0])


class JudgedEntry(Strict):
    """Describes a judged candidate."""

    line: Text
    words: list[Text]
    tasks: list[Text]
    seeds: Positive = LOOKS[-1][0]
    calibrated: bool = False
    core_minutes: Number  # of CPU time, which records do not have


class StoredCourt(Court):
    """Judges a candidate by the runs in a store, and makes none."""

    records: Mapping[RunKey, RunRecord]

    def runs_of(self, task: JudgedTask, stage: str, points: Sequence[tuple[Cell, int]]) -> list[TrialRun]:
        """Look up the stored run of each point; one that is missing is an error."""
        runs = []
        for cell, seed in points:
            spec = self.spec(task, cell, seed)
            key = key_of(with_width(spec, self.measured(spec)) if cell.get("width_fwhm") == AUTO else spec)
            if key not in self.records:
                raise InputError(f"{STORE}: has no run of {task.name}, {stage}: {dict(cell)}, seed {seed}")
            runs.append(run_of(self.records[key]))
        return runs

    def measured(self, spec: RunSpec) -> float:
        """Look up the width that passing steps chose for the protocol of a run."""
        for record in self.records.values():
            if record.calibration is not None and record.protocol == spec.method.protocol.name:
                return record.calibration.width_fwhm
        raise InputError(f"{STORE}: has no run of {spec.method.protocol.name} at the calibrated width")


class Compared(NamedTuple):
    """Holds one surrogate of the convolutional comparison at its own best."""

    words: tuple[str, ...]
    runs: tuple[TrialRun, ...]


def entries() -> dict[str, JudgedEntry]:
    """Read the judged candidates by name."""
    tree = yaml.safe_load((STORE / "candidates.yaml").read_text())
    return {name: JudgedEntry.model_validate(fields) for name, fields in tree.items()}


def case_of(entry: JudgedEntry, runs_dir: Path) -> tuple[Candidate, tuple[JudgedTask, ...], TrialFolders]:
    """Return what a court judges: the candidate, the tasks, and the folders of the runs."""
    tasks = judged_tasks(load_study(STUDY).study, read_summary(shipped_summary()), entry.tasks)
    return Candidate.of(entry.words), tasks, TrialFolders(runs_dir)


def stored_records(name: str) -> dict[RunKey, RunRecord]:
    """Read the records of a candidate's runs from the store."""
    return {entry.key: entry.record for entry in Store(STORE, "judged").entries([name])}


def judged(name: str, entry: JudgedEntry) -> JudgedCandidate:
    """Judge a candidate by its stored runs."""
    court = StoredCourt(*case_of(entry, Path("runs")), **NO_TRAINING, most_seeds=entry.seeds)
    court.records = stored_records(name)
    return court.judge(calibrated=entry.calibrated)


def files() -> dict[str, bytes]:
    """Map the path of each page and file under docs/judged to its content, written from the stored runs."""
    written: dict[str, bytes] = {}
    kinds = ("one layer", "several layers", "recurrent")  # of networks
    rows = [["candidate", "what it is", *kinds, "wall-clock hours", "CPU hours"]]
    for name, entry in entries().items():
        result = judged(name, entry)
        written |= {f"{name}/{file}": data for file, data in files_of(result, {}).items()}
        verdicts = result.verdicts()
        texts: dict[str, str] = dict.fromkeys(kinds, "not run")
        for kind, verdict in verdicts.items():
            texts[kind] = f"{verdict.word} ({verdict.difference:+z.1f}{', at chance' if result.unlearnt(kind) else ''})"
        cost = [number_text(sum(run.fit_s for run in result.runs) / HOUR_S), f"{entry.core_minutes / 60:.2f}"]
        rows.append([f"[{name}]({name}/verdict.md)", entry.line, *(texts[kind] for kind in kinds), *cost])
    page = (PAGES / "README.md").read_text()
    for part, table in (
        ("judged", plain_table("Judged surrogates", rows, text_columns=5)),
        (CONVOLUTIONAL, convolutional_table()),
    ):
        page = Passage("docs/judged/README.md", part, as_markdown(table)).within(page)
    return written | {"README.md": page.encode()}


def compared(run: Callable[[Sequence[RunSpec]], Sequence[RunRecord]]) -> dict[str, Compared]:
    """Compare surrogates in the convolutional network, each at the learning rate and words that validation selects.

    `run`: returns the records of some runs.
    """
    composer, by_name = PointComposer((), ()), {}

    def runs_at(cell: Sequence[str], seeds: Sequence[int]) -> list[TrialRun]:
        return [run_of(record) for record in run([composer.spec([*cell, f"seed={seed}"]) for seed in seeds])]

    for name, settings in COMPARED.items():
        cells = [(*words, f"optimizer.lr={rate}") for words in settings for rate in RATES]
        tuning = [runs_at((*NETWORK, *cell), TUNING_SEEDS) for cell in cells]
        validations = [float(np.mean([tried.validation for tried in runs])) for runs in tuning]
        best = cells[int(np.argmax(validations))]
        by_name[name] = Compared(best, tuple(runs_at((*NETWORK, *best), REPORTED)))
    return by_name


def convolutional_table() -> Table:
    """Write the comparison in the convolutional network from its stored runs, with verdicts against the first one."""
    records = stored_records(CONVOLUTIONAL)
    by_name = compared(lambda specs: [records[key_of(spec)] for spec in specs])
    accuracies = {name: np.array([run.accuracy for run in each.runs]) for name, each in by_name.items()}  # [seeds]
    reference, *others = accuracies
    # [1 task, seeds]; decided at one level for all that are compared
    verdicts = decide({name: (accuracies[name] - accuracies[reference])[None] for name in others})
    rows = [["surrogate", "chosen by validation", "test accuracy, %", f"minus {reference}, points", "verdict"]]
    for name, (words, _) in by_name.items():
        chosen = ", ".join(word for word in words if not word.startswith("surrogate"))
        cells = ["-", "-"]
        if name in verdicts:
            verdict = verdicts[name]
            ends = "" if verdict.low is None else f" ({verdict.low:.1f} to {verdict.high:.1f})"
            cells = [f"{verdict.difference:+z.1f}{ends}", verdict.word]
        rows.append([name, chosen, f"{accuracies[name].mean():.1f}", *cells])
    return plain_table("Convolutional network with batch normalisation", rows, text_columns=2)


def keep(name: str, runs_dir: Path) -> None:
    """Add the records of a candidate's runs in a folder to the store."""
    if name == CONVOLUTIONAL:
        kept: list[StoreEntry] = []

        def read(specs: Sequence[RunSpec]) -> list[RunRecord]:
            records = recorded(specs, runs_dir)
            kept.extend(StoreEntry(name, CONVOLUTIONAL, {}, record) for record in records)
            return records

        compared(read)
    else:
        entry = entries()[name]
        court = Court(*case_of(entry, runs_dir), **NO_TRAINING, most_seeds=entry.seeds)
        result = court.judge(calibrated=entry.calibrated)
        kept = [StoreEntry(name, trial.task.name, {}, run.record) for trial in result.tasks for run in trial.runs]
    Store(STORE, "judged").append(name, kept, study_sha256=load_study(STUDY).sha256)


def recorded(specs: Sequence[RunSpec], runs_dir: Path, *, train: bool = False) -> list[RunRecord]:
    """Return the records of runs in a folder; with `train`, missing ones are trained first."""
    placed = [
        spec.model_copy(update={"paths": spec.paths.model_copy(update={"runs_dir": str(runs_dir)})}) for spec in specs
    ]
    if train:
        replicas(1)([spec for spec in placed if stored_record(spec) is None])
    records = [record for spec in placed if (record := stored_record(spec)) is not None and is_result(record)]
    if len(records) < len(specs):
        raise InputError(f"{runs_dir}: {len(specs) - len(records)} of {len(specs)} runs have no result")
    return records


def main(words: Sequence[str]) -> int:
    known = [*entries(), CONVOLUTIONAL]
    match words:
        case []:
            for name, data in files().items():
                write_atomic(PAGES / name, data)
        case ["train", runs_dir]:
            compared(lambda specs: recorded(specs, Path(runs_dir), train=True))
        case ["keep", name, runs_dir] if name in known:
            keep(name, Path(runs_dir))
        case ["keep", name, _]:
            sys.stderr.write(f"keep {name}: no such candidate; {suggest(name, known)}\n")
            return 2
        case _:
            sys.stderr.write(f"{' '.join(words)}: use no word, keep NAME RUNS or train RUNS\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
