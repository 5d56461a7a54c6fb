"""Searches of settings: what is asked, what runs, what is left; runs are made-up records, without training."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from sgbench.cli.main import main
from sgbench.composition.compose import compose
from sgbench.composition.overrides import Overrides
from sgbench.errors import InputError
from sgbench.records.files import JOURNALS, read_journals
from sgbench.records.spec import RunSpec
from sgbench.replicas.messages import PruningThresholds
from sgbench.training.run_folder import folder_of, locked
from sgbench.tuning.outcomes import Outcome, summarise_studies
from sgbench.tuning.request import Request, Task, make_task
from sgbench.tuning.search import Search, pruning_thresholds
from sgbench.tuning.space import Interval, search_space
from sgbench.tuning.strategies import Random, Sobol, Tpe, TriedSetting, optuna_distribution
from tests.leaderboard import factory
from tests.messages import lines_naming, raises_naming

WIDTH, RATE = "surrogate.width_fwhm", "optimizer.lr"
Score = Callable[[RunSpec], float | None]


def task(root: Path, *words: str, **request: object) -> Task:
    """A search under digits_tuned_v2 that writes into a folder."""
    words = ("protocol=digits_tuned_v2", "surrogate=atan", f"paths.runs_dir={root}", *words)
    return make_task(Request(Overrides.of(words), **request))  # type: ignore[arg-type]


def near_one(spec: RunSpec) -> float:
    """An accuracy that is best at width 1."""
    width = spec.method.parameters["surrogate"]["width_fwhm"]
    return 0.9 - 0.1 * min(abs(math.log(float(str(width)))), 4)


class Toy:
    """Writes a record for each run it is given, with an accuracy and a loss that follow from its setting."""

    def __init__(self, score: Score = near_one) -> None:
        self.score = score
        self.rounds: list[int] = []
        self.ran: list[tuple[str, int]] = []
        self.thresholds: list[PruningThresholds] = []

    def __call__(self, specs: Sequence[RunSpec], thresholds: Mapping[int, PruningThresholds]) -> None:
        """Make the records of a round."""
        self.rounds.append(len(specs))
        self.thresholds += thresholds.values()
        for spec in specs:
            self.ran.append((str(folder_of(spec)), spec.seed))
            value = self.score(spec)
            made = factory.record(of=spec.method, seed=spec.seed, accuracy=value, loss=1 - (value or 0))
            factory.write_run(Path(spec.paths.runs_dir), made)


def searched(wanted: Task, toy: Toy) -> list[Outcome]:
    """All settings of a search."""
    return Search(wanted, toy, lambda line: None).run()


def test_every_method_gets_the_same_places_of_the_space(tmp_path: Path) -> None:
    """Within its ranges, as many as asked for; another surrogate the same numbers, one without a width the rates.

    Must differ: studies; another strategy.
    """
    space = {WIDTH: Interval(0.05, 5.0, True), RATE: Interval(0.0005, 0.1, True)}
    for strategy in (Random, Sobol):
        ours = strategy(space, (WIDTH, RATE), "toy_v1")
        lone = strategy({RATE: space[RATE]}, (WIDTH, RATE), "toy_v1")
        tried: list[TriedSetting] = []
        for _ in range(5):
            setting = ours.ask(0, tried)
            assert lone.ask(0, tried) == {RATE: setting[RATE]}
            assert all(space[key].low <= value <= space[key].high for key, value in setting.items())
            tried.append(TriedSetting(setting, "open", None))
        assert len({each.setting[RATE] for each in tried}) == 5
        assert ours.ask(1, []) != tried[0].setting
    assert Random(space, (WIDTH, RATE), "toy_v1").ask(0, []) != Sobol(space, (WIDTH, RATE), "toy_v1").ask(0, [])
    # Of every two neighbours from an even place on, a sequence of Sobol's has one in each half of each axis.
    shares = [
        Sobol({"a": Interval(0.0, 1.0, False)}, ("a",), "toy_v1").ask(0, tried[:number])["a"] for number in (0, 1)
    ]
    assert sorted(share < 0.5 for share in shares) == [False, True]


def test_widths_are_searched_in_thresholds() -> None:
    """By hand: twice the threshold, twice the range of widths; the learning rate stays."""
    words = ["protocol=digits_tuned_v2", "neuron.threshold=2.0"]
    method = compose(words).method
    space = search_space(method, method.protocol)
    assert space[WIDTH] == pytest.approx(Interval(0.1, 10.0, True))
    assert space[RATE] == Interval(0.0005, 0.1, True)


@pytest.mark.slow
def test_a_search_runs_each_setting_once_with_the_seeds_that_choose(tmp_path: Path) -> None:
    """Six settings x three seeds in one round; again: nothing runs; without its journal: the same, nothing runs.

    The choice is the largest mean by hand, and the median of bests that of the two studies' own.
    """
    wanted, toy = task(tmp_path, studies=2, trials=3), Toy()
    outcomes = searched(wanted, toy)
    assert toy.rounds == [18]
    assert {seed for _, seed in toy.ran} == {100, 101, 102}
    found = summarise_studies(outcomes)
    assert found.chosen is not None
    scores = {each.asked.method_id: each.score or 0.0 for each in outcomes}
    assert found.chosen.asked.method_id == max(scores, key=lambda name: scores[name])
    by_study = [max(each.score or 0 for each in outcomes if each.asked.study == study) for study in (0, 1)]
    assert found.score == min(by_study)
    again = Toy()
    assert searched(wanted, again) == outcomes
    (journal,) = read_journals(wanted.folder)
    assert [each.asked for each in outcomes] == [*journal.of_study(0), *journal.of_study(1)]
    next((wanted.folder / JOURNALS).glob("*.json")).unlink()
    assert searched(wanted, again) == outcomes
    assert again.rounds == []


@pytest.mark.slow
def test_more_studies_go_on_where_fewer_ended(tmp_path: Path) -> None:
    """Must match: the first study stays; only the second runs."""
    first = searched(task(tmp_path, studies=1, trials=2), Toy())
    toy = Toy()
    both = searched(task(tmp_path, studies=2, trials=2), toy)
    assert both[:2] == first
    assert toy.rounds == [6]


def test_a_worker_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """Ended in the middle of a round: the next one runs what has no record, and only that."""

    def dies(spec: RunSpec) -> float:
        if len(toy.ran) == 6:
            raise KeyboardInterrupt
        return near_one(spec)

    wanted = task(tmp_path, studies=2, trials=2)
    toy = Toy(dies)
    with pytest.raises(KeyboardInterrupt):
        searched(wanted, toy)
    after = Toy()
    outcomes = searched(wanted, after)
    assert all(each.state == "finished" for each in outcomes)
    assert after.rounds == [7]
    assert sorted({*toy.ran[:5], *after.ran}) == sorted([*toy.ran[:5], *after.ran])


@pytest.mark.slow
def test_two_workers_share_a_search(tmp_path: Path) -> None:
    """While one holds the runs of its round, another asks for the next settings, not for these."""
    pytest.importorskip("optuna")
    wanted, other = task(tmp_path, studies=2, trials=2, strategy="tpe"), Toy()

    def both(specs: Sequence[RunSpec], thresholds: Mapping[int, PruningThresholds]) -> None:
        if not other.rounds:
            with contextlib.ExitStack() as stack:
                for spec in specs:
                    stack.enter_context(locked(folder_of(spec)))
                Search(wanted, other, lambda line: None)._run_round(asked_by_another(wanted), [])
        Toy()(specs, thresholds)

    outcomes = Search(wanted, both, lambda line: None).run()
    assert other.rounds == [6]
    assert [each.state for each in outcomes] == ["finished"] * 4
    (journal,) = read_journals(wanted.folder)
    assert len({each.method_id for each in journal.asked}) == 4


def asked_by_another(wanted: Task) -> list[Outcome]:
    """What a second worker would run now; it writes the journal."""
    second = Search(wanted, Toy(), lambda line: None)
    with second._journal() as journal:
        outcomes = second._read_outcomes(journal)
        assert not [each for each in outcomes if second._is_abandoned(each)]
        new = second._ask(outcomes)
        second._write(journal, new)
    return new


@pytest.mark.slow
def test_tpe_looks_at_results(tmp_path: Path) -> None:
    """The same history gives the same question; another history another; all states can be told."""
    pytest.importorskip("optuna")
    space = {WIDTH: Interval(0.05, 5.0, True)}
    asker = Tpe(space, "toy_v1")
    history = [TriedSetting({WIDTH: width}, "finished", -abs(math.log(width))) for width in (0.05, 0.2, 1.0, 3.0, 5.0)]
    assert asker.ask(0, history) == asker.ask(0, history)
    mirrored = [TriedSetting(each.setting, "finished", -(each.score or 0.0)) for each in history]
    assert asker.ask(0, history) != asker.ask(0, mirrored)
    states = [TriedSetting({WIDTH: 1.0}, "failed", None), TriedSetting({WIDTH: 2.0}, "open", None)]
    assert set(asker.ask(0, [*states, TriedSetting({WIDTH: 1.5}, "pruned", 0.3)])) == {WIDTH}
    wanted, toy = task(tmp_path, studies=1, trials=4, strategy="tpe"), Toy()
    outcomes = searched(wanted, toy)
    assert toy.rounds == [3] * 4
    next((wanted.folder / JOURNALS).glob("*.json")).unlink()
    assert searched(wanted, toy) == outcomes
    assert toy.rounds == [3] * 4


@pytest.mark.slow
def test_failed_settings_are_tried_but_never_chosen(tmp_path: Path) -> None:
    """Must differ: the best by its two finished seeds is not taken, for one of its runs failed."""

    def score(spec: RunSpec) -> float | None:
        return None if spec.seed == 101 and near_one(spec) > 0.8 else near_one(spec)

    outcomes = searched(task(tmp_path, studies=2, trials=4), Toy(score))
    failed = [each for each in outcomes if each.state == "failed"]
    assert failed
    assert all(each.score is None for each in failed)
    chosen = summarise_studies(outcomes).chosen
    assert chosen is not None
    assert chosen.state == "finished"


def test_reporting_seeds_that_learnt_nothing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seeds 0 and 3 stay at one of ten classes: two of ten, with the command that tells more. Else no word."""
    words = ["tune", "protocol=digits_tuned_v2", "surrogate=atan", "--studies", "1", "--trials", "1"]
    for name, low in (("some", (0, 3)), ("none", ())):
        toy = Toy(lambda spec, low=low: 0.1 if spec.seed in low else 0.9)
        monkeypatch.setattr(
            "sgbench.cli.tune._run_specs", lambda specs, thresholds, *, workers, toy=toy: toy(specs, thresholds)
        )
        root = tmp_path / name
        assert main([*words, f"paths.runs_dir={root}"]) == 0
        told = capsys.readouterr().out
        warning = "warning: 2 of 10 runs, e.g. seed 0, are no better than guessing: nothing was learnt; "
        assert (f"{warning}sgbench diagnose {root / 'digits_tuned_v2'}" in told) == bool(low)
        assert ("guessing" in told) == bool(low)
        # Eight at 90 and two at 10 %: 74 % +- 2.262 x 10.667 points, on the logit.
        assert bool(lines_naming(told, "test accuracy", "74.00 (44.81 to 90.89) %", "10 seeds")) == bool(low)


def test_bars_are_medians_of_the_best_so_far() -> None:
    """By hand, with losses 3, 1, 2 and 2, 2, 2 and 1, 3, 3: bests -3 -1 -1, -2 -2 -2, -1 -1 -1; the last epoch has
    none; of one run there is none."""
    records = []
    for losses in ((3.0, 1.0, 2.0), (2.0, 2.0, 2.0), (1.0, 3.0, 3.0)):
        made = factory.record(of=compose(["protocol=digits_tuned_v2", "protocol.epochs=3"]).method)
        line = made.curve[0]
        curve = tuple(
            line.model_copy(update={"epoch": epoch, "validation_loss": loss}) for epoch, loss in enumerate(losses)
        )
        records.append(made.model_copy(update={"curve": curve}))
    none = -math.inf
    assert pruning_thresholds(records, monitor="validation_loss", epochs=3) == (none, -1.0, none)
    assert pruning_thresholds(records[:1], monitor="validation_loss", epochs=3) == (none,) * 3


@pytest.mark.one_in(16)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["protocol=digits_v1"], "digits_v1 has no search_space"),
        (["protocol=digits_tuned_v2", "--studies", "6"], "30 settings, digits_tuned_v2 allows 25"),
        (["protocol=digits_tuned_v2", "--trials", "0"], "--trials 0: at least 1 is needed"),
        (["protocol=digits_tuned_v2", "seed=1"], "seed=1: the protocol says with which seeds"),
        (["protocol=digits_tuned_v2", "surrogate=atan,triangle"], "one method is tuned at a time"),
        (["protocol=digits_tuned_v2", "optimizer.lr=0.1"], "optimizer.lr=0.1: is what is searched"),
        (["protocol=digits_tuned_v2", "width_fwhm=1"], "width_fwhm=1: is what is searched"),
        (["protocol=digits_tuned_v2", "hydra/launcher=basic"], "runs its own rounds as replicas"),
        (["protocol=digits_tuned_v2", "protocol.epochs=2"], "protocol.epochs is 2"),
        (["protocol=digits_tuned_v2", "surrogate=atann"], "did you mean 'atan'"),
        (["protocol=digits_tuned_v2", "--workers", "0"], "--workers 0: at least 1"),
    ],
)
def test_refused_before_anything_runs(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, and no folder of runs."""
    assert main(["tune", *words, f"paths.runs_dir={tmp_path / 'runs'}"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_an_older_optuna_has_its_own_names_for_intervals() -> None:
    """Version 2, which hydra-optuna-sweeper asks for: two classes in place of one with a switch."""
    kinds = {
        name: lambda *bounds, name=name: (name, bounds) for name in ("UniformDistribution", "LogUniformDistribution")
    }
    old = SimpleNamespace(distributions=SimpleNamespace(**kinds))
    assert optuna_distribution(old, Interval(0.1, 1.0, True)) == ("LogUniformDistribution", (0.1, 1.0))
    assert optuna_distribution(old, Interval(0.0, 1.0, False)) == ("UniformDistribution", (0.0, 1.0))


def test_without_optuna_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Expected: the extra; must differ: sobol and random, which need nothing."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'sgbench\[tune\]'"):
        Search(task(tmp_path, strategy="tpe"), Toy(), lambda line: None)
    assert len(searched(task(tmp_path, studies=1, trials=1), Toy())) == 1


@pytest.mark.slow
def test_settings_tried_elsewhere_count(tmp_path: Path) -> None:
    """Twenty-four by another strategy and two more are beyond 25; must differ: one more."""
    searched(task(tmp_path, studies=4, trials=6), Toy())
    assert len(searched(task(tmp_path, studies=1, trials=1, strategy="random"), Toy())) == 1
    with raises_naming(InputError, "24"):
        searched(task(tmp_path, studies=1, trials=2, strategy="random"), Toy())
