"""`sgbench judge`: verdicts on candidates whose truth is known, from stored runs of the study, without a training.

A candidate is a known shape's stored runs, its mean put where the test wants it and its seeds drawn anew; what it
is compared with are the stored runs themselves.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import References
from sgbench.recommendation.summary import read_summary, shipped_summary
from sgbench.records.files import read_model
from sgbench.records.method import method_id
from sgbench.records.submission import Submission, TuningLog
from sgbench.study_runner.cells import Cell
from sgbench.study_runner.definition import load_study
from sgbench.study_runner.judge.decide import FALSE_SIMULATED, LOOKS, MARGIN, decide
from sgbench.study_runner.judge.field import SETS, JudgedTask, judged_tasks, named_tasks, titles
from sgbench.study_runner.judge.judged import judge
from sgbench.study_runner.judge.page import WORDS, ShownVerdict, files_of
from sgbench.study_runner.judge.trial import Candidate, Court, JudgedCandidate, TrialFolders, TrialRun, hours_of
from sgbench.study_runner.scores import score_of
from sgbench.study_runner.store import Store
from sgbench.submissions.check import check
from sgbench.submissions.make import Author
from sgbench.submissions.verify.verdict import DataJudge
from sgbench.tables import number_text
from tests.messages import lines_naming

CANDIDATES = 1000
TASKS = judged_tasks(load_study("surrogates").study, read_summary(shipped_summary()), SETS["quick"])
Draws = dict[str, list[list[np.ndarray]]]


def residuals() -> Draws:
    """By regime and task, differences of known shapes to the best known one, each about a mean of 0."""
    draws: Draws = {}
    for task in TASKS:
        best = task.best_known
        rows = []
        for cell in task.own_best:
            if cell.surrogate != best.surrogate:
                size = min(len(cell.seeds), len(best.seeds))
                gap = np.array(cell.score[:size]) - np.array(best.score[:size])
                rows.append((gap - gap.mean()) * math.sqrt(size / (size - 1)))
        draws.setdefault(task.regime, []).append(rows)
    return draws


def words_of(truth: float, generator: np.random.Generator, draws: Draws) -> list[str]:
    """The verdicts on one candidate that is better by so many points everywhere."""
    differences = {}
    for regime, tasks in draws.items():
        rows = [rows[generator.integers(len(rows))] for rows in tasks]
        differences[regime] = truth + np.array([generator.choice(row, LOOKS[-1][0]) for row in rows])
    return [verdict.word for verdict in decide(differences).values()]


def is_false(word: str, truth: float) -> bool:
    """Whether a verdict says what is not so."""
    if word == "equal":
        return abs(truth) >= MARGIN
    return word != "open" and (truth == 0 or (word == "better") != (truth > 0))


@pytest.mark.slow
def test_false_verdicts_are_rare():
    """Expected: at most 5 % of 1,000 candidates have one in any regime, with an upper limit (Wilson) of 7 %.

    A third is equal to the best known shape; the others lie at the margin, where "equal" is false most often.
    """
    generator, draws = np.random.default_rng(20261129), residuals()
    truths = [(0.0, MARGIN, -MARGIN)[index % 3] for index in range(CANDIDATES)]
    false = sum(any(is_false(word, truth) for word in words_of(truth, generator, draws)) for truth in truths)
    share, z = false / CANDIDATES, 1.96
    middle = share + z * z / (2 * CANDIDATES)
    half = z * math.sqrt(share * (1 - share) / CANDIDATES + z * z / (4 * CANDIDATES**2))
    assert (false, CANDIDATES) == FALSE_SIMULATED  # which pages tell
    assert share <= 0.05
    assert (middle + half) / (1 + z * z / CANDIDATES) <= 0.07


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("truth", "word"), [(3.0, "better"), (-3.0, "worse")])
def test_three_points_are_found(truth, word):
    """Expected: by at least 80 % of 500 candidates in every regime."""
    generator, draws = np.random.default_rng(7), residuals()
    found = np.array([words_of(truth, generator, draws) for _ in range(500)]) == word
    assert found.mean(axis=0).min() >= 0.8


class Told(Court):
    """A court whose runs are told, not made."""

    tell: Callable[[JudgedTask, Cell, int], TrialRun]

    def runs_of(self, task: JudgedTask, stage: str, points: Sequence[tuple[Cell, int]]) -> list[TrialRun]:
        self.say(stage)
        return [self.tell(task, cell, seed) for cell, seed in points]


def run(accuracy: float, validation: float, *, failed: bool = False) -> TrialRun:
    """One run's numbers."""
    spikes = None if failed else math.log(100.0)
    return TrialRun(accuracy, validation, spikes, failed, 1.0, record=None)  # type: ignore[arg-type]


def as_atan(task: JudgedTask, cell: Cell, seed: int) -> TrialRun:
    """What the stored runs of atan say: by width on the map, and at its own best on reporting seeds."""
    (best,) = (known for known in task.own_best if known.surrogate == "atan")
    if seed >= 300:
        (known,) = (one for one in task.cells if (one.surrogate, one.width_fwhm) == ("atan", cell["width_fwhm"]))
        return run(known.score[known.seeds.index(seed)], known.validation[known.seeds.index(seed)])
    if seed >= 200:
        return run(best.score[best.seeds.index(seed)], 90.0)
    near = abs(math.log(float(cell["width_fwhm"]) / best.width_fwhm)) + abs(  # type: ignore[arg-type]
        math.log(float(cell["optimizer.lr"]) / (task.rate * best.lr_factor))  # type: ignore[arg-type]
    )
    return run(90.0 - near, 90.0 - near)


def at_chance(task: JudgedTask, cell: Cell, seed: int) -> TrialRun:
    """A run that fails."""
    return run(10.0, 10.0, failed=True)


def court(
    tell: Callable[[JudgedTask, Cell, int], TrialRun],
    *,
    has_width: bool = True,
    most_seeds: int = 20,
    tasks: Sequence[JudgedTask] = TASKS,
) -> tuple[JudgedCandidate, list[str]]:
    """Everything about a candidate, and the stages that it took."""
    said: list[str] = []
    made = Told(
        Candidate(("surrogate=formula", "surrogate.formula='1/(1+(pi*a*u/2)**2)'"), has_width),
        tasks,
        TrialFolders(Path("nowhere")),
        runner=lambda specs: None,
        say=said.append,
        map_seeds=2,
        most_seeds=most_seeds,
    )
    made.tell = tell  # type: ignore[method-assign]
    return made.judge(calibrated=True), said


def test_atan_under_another_name_is_neither_better_nor_worse():
    """Expected: what the stored runs of atan show against the best known shape; the same files once more."""
    result, _ = court(as_atan)
    assert {each.word for each in result.verdicts().values()} <= {"equal", "open"}
    files = files_of(result, {})
    assert files == files_of(court(as_atan)[0], {})
    assert files["verdict.png"].startswith(b"\x89PNG")
    assert json.loads(files["verdict.json"])["candidate"][0] == "surrogate=formula"
    assert b"\\toprule" in files["verdict.tex"]
    shown = ShownVerdict(result.candidate, result.tasks)
    lines = repr(shown).split("\n")
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80
    assert all(regime in repr(shown) and f"<td>{regime}</td>" in shown._repr_html_() for regime in shown.verdicts())


def test_runs_of_atan_are_equal_to_atan():
    """Expected: equal in every kind at ten seeds, since nothing differs: 2^-10 is below the level, 2^-5 is not.

    Must differ: the best of the known shapes, which the same runs are not shown to be equal to everywhere.
    """
    alone = [
        dataclasses.replace(
            task,
            cells=tuple(cell for cell in task.cells if cell.surrogate == "atan"),
            own_best=tuple(cell for cell in task.own_best if cell.surrogate == "atan"),
        )
        for task in TASKS
    ]
    result, _ = court(as_atan, tasks=alone)
    shown = result.verdicts()
    assert {each.word for each in shown.values()} == {"equal"}
    assert {(each.seeds, each.difference) for each in shown.values()} == {(10, 0.0)}
    assert {each.word for each in court(as_atan, tasks=alone, most_seeds=5)[0].verdicts().values()} == {"open"}
    assert "open" in {each.word for each in court(as_atan)[0].verdicts().values()}


@pytest.mark.one_in(4)
@pytest.mark.parametrize("seconds", [3.0, 120.0])
def test_what_is_open_is_decided_at_the_time_of_the_candidates_own_runs(seconds):
    """By hand: seeds of a new sample, times tasks of the kind of network, times the seconds of its runs."""
    result, _ = court(lambda *given: dataclasses.replace(as_atan(*given), fit_s=seconds))
    needed = {each: each.seeds_needed for each in result.verdicts().values() if each.seeds_needed is not None}
    assert needed
    page = files_of(result, {})["verdict.md"].decode()
    for each, seeds in needed.items():
        tasks = sum(trial.task.regime == each.regime for trial in result.tasks)
        hours = seeds * tasks * seconds / 3600
        assert hours_of(result, each) == pytest.approx(hours)
        if each.word == "open":
            assert f"{seeds} seeds, {number_text(hours)} hours" in page


@pytest.mark.slow
def test_a_candidate_that_fails_everywhere_ends_in_a_page():
    """Expected: worse everywhere at the first look, every run failed, no seed beyond the first five."""
    result, said = court(at_chance)
    assert {each.word for each in result.verdicts().values()} == {"worse"}
    assert {each.seeds for each in result.verdicts().values()} == {LOOKS[0][0]}
    page = files_of(result, {})["verdict.md"].decode()
    assert page.count(WORDS["worse"]) == len({task.regime for task in TASKS})
    assert "39 of 39" in page  # 8 widths x 2 seeds, 9 cells x 2 seeds, 5 seeds
    assert not any("10 seeds" in line for line in said)


def test_a_candidate_that_learns_nothing_is_told_apart_from_one_that_loses():
    """Expected, by hand: 3 rates x 2 seeds + 5 seeds at chance, none failed, at the first and lowest rate.

    A layer counts as silent if all runs at chance have it. Must differ: runs that learn.
    """

    def lost(task: JudgedTask, cell: Cell, seed: int) -> TrialRun:
        layers = frozenset({"hidden2", *(["hidden1"] if seed % 2 else [])})
        return dataclasses.replace(run(10.0, 10.0), at_chance=True, silent=layers)

    def page(tell: Callable[[JudgedTask, Cell, int], TrialRun]) -> str:
        return files_of(court(tell, has_width=False)[0], {})["verdict.md"].decode()

    told, other = page(lost), page(lambda *given: run(70.0, 70.0))
    assert told.count("| 0 of 11 | 11 of 11 |") == len(TASKS)
    assert len(re.findall(r"\| 0 of \d+ \| 0 of \d+ \|", other)) == len(TASKS)
    for line in ("5 seeds, none better than guessing)", "silent in every run at chance: hidden2 ("):
        assert line in told
        assert line not in other
    (edge,) = lines_naming(told, "learning rate", "the edge")
    assert all(task.title in edge for task in TASKS)


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("most_seeds", "confidence"), [(5, "99.87 %"), (10, "99.33 %")])
def test_an_interval_says_its_confidence(most_seeds, confidence):
    """By hand: 1 - 2 x 0.002 / 3 and 1 - 2 x 0.01 / 3, at the level of a look for one of three kinds of network."""
    result, _ = court(as_atan, most_seeds=most_seeds)
    assert f"({confidence}) | {most_seeds} |" in files_of(result, {})["verdict.md"].decode()


@pytest.mark.slow
def test_a_candidate_without_a_width_has_no_map():
    """Expected: three learning rates on two seeds, then reporting seeds; constant and sign_flip are such."""
    result, said = court(at_chance, has_width=False)
    assert len(result.tasks[0].tuning) == 6
    assert not result.tasks[0].map
    assert "map" not in said
    assert files_of(result, {})["verdict.md"]
    assert not Candidate.of(["constant"]).has_width
    assert not Candidate.of(["sign_flip"]).has_width
    with pytest.raises(InputError, match=r"formula \"surrogate.formula='0.5\*exp\(-abs\(u\)\)'\""):
        Candidate.of(["0.5*exp(-abs(u))"])
    assert Candidate.of(["surrogate=formula", "surrogate.a=3"]).has_width


def test_fewer_seeds_end_earlier():
    """Expected: no seed beyond five where five are allowed, and what is open then stays open; else up to 20."""
    few, said = court(as_atan, most_seeds=5)
    assert {each.seeds for each in few.verdicts().values()} == {5}
    assert not any("10 seeds" in line for line in said)
    assert max(each.seeds for each in court(as_atan)[0].verdicts().values()) > 5
    with pytest.raises(InputError, match="--seeds=4"):
        judge("atan", most_seeds=4)


def test_tasks_are_named_as_they_are_titled(capsys):
    """Expected: the study's names of titles, beginnings of one title, and names; an unknown one lists all titles.

    Must match: the titles that a verdict prints, and those in the help.
    """
    known = titles(read_summary(shipped_summary()))
    for text, names in (
        ("digits, one layer", ["T2d1"]),
        ("Braille, digits, one layer,T1", ["T4", "T2d1", "T1"]),
        ("digits, four", ["T2d4"]),
    ):
        assert named_tasks(text, known) == names
    for text, said in (("nonsense", "--tasks nonsense"), ("digits", "digits, one layer; digits, four layers")):
        with pytest.raises(InputError, match=said):
            judge("atan", tasks=text)
    for task in TASKS:
        assert named_tasks(task.title, known) == [task.name]
    with pytest.raises(SystemExit):
        main(["judge", "--help"])
    told = capsys.readouterr().out
    assert all(title in told for title in known.values())


@pytest.mark.slow
def test_constant_is_worse():
    """Expected: worse for each kind of network, from its stored runs (block A3b); no kind rests on another."""
    loaded = load_study("surrogates")
    store = Store(Path(__file__).parents[2] / "study" / "surrogates", "surrogates")
    scores = [score_of(entry, loaded.study) for entry in store.entries(["A3b"])]
    rows: dict[str, list[list[float]]] = {}
    for task in TASKS:
        known = dict(zip(task.best_known.seeds, task.best_known.score, strict=True))
        own = {
            one.seed: one.accuracy - known[one.seed]
            for one in scores
            if one.task == task.name and one.settings["surrogate"] == "constant"
        }
        rows.setdefault(task.regime, []).append([own[seed] for seed in sorted(own)])
    verdicts = decide({regime: np.array(table) for regime, table in rows.items()})
    assert {name: each.word for name, each in verdicts.items()} == dict.fromkeys(rows, "worse")


@pytest.mark.slow
def test_a_flipped_slope_is_worse_and_nothing_runs_twice(tmp_path):
    """Expected: worse for one layer, from real runs; a second call makes none and gives the same bytes."""
    said: list[str] = []
    folders = {"runs_dir": tmp_path / "runs", "to": tmp_path / "verdict", "say": said.append}
    result = judge("sign_flip", tasks=["T2d1"], **folders)  # type: ignore[arg-type]
    assert [each.word for each in result.verdicts().values()] == ["worse"]
    assert said
    files = {path.name: path.read_bytes() for path in folders["to"].iterdir()}  # type: ignore[attr-defined]
    said.clear()
    judge("sign_flip", tasks=["T2d1"], **folders)  # type: ignore[arg-type]
    assert not said
    assert files == {path.name: path.read_bytes() for path in folders["to"].iterdir()}  # type: ignore[attr-defined]


@pytest.mark.slow
def test_a_judged_candidate_is_handed_in(tmp_path):
    """Expected: what a pull request asks of a submission, without a warning; the board's seeds, all settings tried.

    The verdict alone has five reporting seeds and two tuning seeds. One layer is not the protocol's four.
    """
    author = Author(name="flipped", contact="@me", code="https://example.org/flipped")
    result = judge(
        "sign_flip",
        tasks=["T2d1", "T2d4"],
        most_seeds=5,
        runs_dir=tmp_path / "runs",
        to=tmp_path / "verdict",
        author=author,
    )
    assert [len(trial.report["own best"]) for trial in result.tasks] == [5, 5]
    refused, line = result.handed_in
    assert lines_naming(refused, "digits, one layer", "no submission", "protocol.hidden is [64]")
    folder = Path(line.partition(": ")[2])
    assert folder.parents[1] == tmp_path / "verdict" / "submission"
    references = References()
    checked = check(folder, references=references, judge=DataJudge(references))
    assert not checked.problems
    tuning = read_model(folder / "tuning.json", TuningLog)
    tried = {(trial.settings.get("optimizer.lr"), trial.seed) for trial in tuning.trials}
    assert len(tried) == len(tuning.trials) == 9  # three learning rates, three tuning seeds
    reported = read_model(folder / "submission.json", Submission)
    assert reported.seeds == tuple(range(200, 210))


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sign_flip", "--tasks", "T2d1", "--calibrated"], "sign_flip has no width"),
        (["atan", "--tasks", "T2d1", "--calibrated"], "no task is recurrent"),
        (["atan", "--tasks", "T2d1,T4", "--data-dir", "empty"], "braille_letters.npz is not in"),
    ],
)
def test_what_would_fail_later_is_refused_before_anything_is_trained(words, said, capsys, monkeypatch, tmp_path):
    """Expected: exit code 2 and one line, with no run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Court, "judge", lambda *given, **more: pytest.fail("something runs"))
    assert main(["judge", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--name", "mine"], "--name and --contact"),
        (["--name", "mine", "--contact", "me"], "--contact: a mail address"),
        (["--name", "<b>", "--contact", "@me"], "--name: Latin letters"),
        (["--name", "mine", "--contact", "@me", "--code", "here"], "--code: an address"),
    ],
)
def test_an_author_is_refused_before_anything_runs(words, said, capsys, monkeypatch):
    """Expected: exit code 2 and one line."""
    monkeypatch.setattr(Court, "judge", lambda *given, **more: pytest.fail("something runs"))
    assert main(["judge", "atan", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_run_of_the_trial_is_a_run_of_the_study():
    """Expected: the method id of a stored cell of the study, at its own best (T4, atan)."""
    (task,) = (task for task in TASKS if task.name == "T4")
    made = Told(
        Candidate(("surrogate=atan",), has_width=True),
        [task],
        TrialFolders(Path("nowhere")),
        runner=lambda specs: None,
        say=lambda line: None,
        map_seeds=2,
    )
    cell: Cell = {"width_fwhm": 0.1, "optimizer.lr": 0.00456}
    study = compose(
        [*task.overrides, "init.gain=3.12", "init.recurrent_gain=0.229", "neuron.beta=0.8825", "protocol.epochs=50",
         "surrogate=atan", "width_fwhm=0.1", "optimizer.lr=0.00456", "seed=200"]
    )  # fmt: skip
    assert method_id(made.spec(task, cell, 200).method) == method_id(study.method)


@pytest.mark.parametrize(
    ("words", "said"),
    [((), "name a surrogate"), (("neuron=leaky",), "names a surrogate"), (("atann",), "atann"), (("zzz",), "zzz")],
)
def test_no_surrogate_is_refused(words, said):
    with pytest.raises(InputError, match=said):
        Candidate.of(list(words))
