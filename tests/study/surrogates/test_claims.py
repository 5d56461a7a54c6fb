"""Claims of the literature on runs of a known truth: what is put in decides, and the opposite flips the verdict."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_rel

from sgbench.errors import InputError
from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import StudyScores
from study.reporting.verdicts import HypothesisResult
from study.surrogates.analysis.comparisons import Rules
from study.surrogates.analysis.elsewhere import Elsewhere, ReproducedFigure, RuleCost, read_elsewhere, read_reproduced
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.hypotheses import all_hypotheses
from study.surrogates.analysis.pages import claims, learning_rules
from study.surrogates.analysis.pages.claim_rules import Decided
from study.surrogates.analysis.pages.claims_outside import BOARD
from tests.messages import raises_naming
from tests.rooms import ROOT
from tests.study.surrogates import made
from tests.study.truth import SETTLED, Outcome, noise, scores, study, with_best

Bonus = Callable[[StudyPoint, Cell], float]
BY_NAME = {claim.name: claim for claim in claims.CLAIMS}


def evidence(
    table: StudyScores, results: list[HypothesisResult] | None = None, elsewhere: Elsewhere | None = None
) -> SurrogateEvidence:
    """What pages are written from."""
    return made.evidence(table, results=results or [], elsewhere=elsewhere or Elsewhere())


def decide(
    name: str,
    table: StudyScores | None = None,
    results: list[HypothesisResult] | None = None,
    elsewhere: Elsewhere | None = None,
) -> Decided:
    """The verdict on one claim."""
    return BY_NAME[name].decide(evidence(table or nothing(), results, elsewhere))


@functools.cache
def nothing() -> StudyScores:
    """A study of which no run is stored."""
    return StudyScores(study().study, SETTLED, [])


def run(blocks: list[str], bonus: Bonus, *, base: float = 95.0, spread: float = 0.3) -> StudyScores:
    """Runs of whole blocks: so many points, noise, and what is put in; rules and shapes have settled cells."""
    start = {"surrogate": "atan", "loss": "per_step", "optimizer.lr": 0.01}
    rules: list[Cell] = [{**start, "rule": "bptt", "rule.window": window} for window in (None, 10, 1)]
    rules.append({**start, "rule": "eprop", "rule.form": "unrolled", "network.recurrence_gradient": "cut"})
    rules += [{**start, "rule": rule} for rule in ("direct_feedback", "local")]
    rules.append({**start, "rule": "frozen", "rule.learn": "readout"})
    settled = {**with_best(), "D": dict.fromkeys(("T4", "T5", "T6"), rules)}

    def truth(point: StudyPoint, settings: Cell) -> Outcome:
        points = base + bonus(point, settings) + noise(point, spread)
        sent = 100 * math.exp(bonus(point, settings) / 100 + noise(point, 0.01, "spikes"))
        return Outcome(points, points, sent)

    return scores(truth, blocks, settled=settled)


def low(key: str, value: object, points: float) -> Bonus:
    """So many points less where a setting has this value."""
    return lambda point, settings: -points * (settings.get(key) == value)


def none(point: StudyPoint, settings: Cell) -> float:
    """Nothing is put in."""
    return 0.0


def test_every_claim_is_open_before_its_runs() -> None:
    """Nothing stored and nothing at hand: 26 claims in their order, none decided, and each says why."""
    later = [number for number in range(1, 18) if number not in {7, 11, 14}]  # these have no block that decides them
    names = [*(f"C{number}" for number in range(1, 13)), *(f"L{number}" for number in later)]
    assert list(BY_NAME) == names
    decided = {name: decide(name) for name in names}
    assert {one.verdict for one in decided.values()} == {"open"}
    assert decided["C1"].number == "1,190 runs of block A3b are missing"
    assert decided["C12"].number == "440 runs of block F are missing"
    assert "outside of a checkout" in decided["C7"].number
    assert all(one.number for one in decided.values())


@pytest.mark.one_in(4)
@pytest.mark.parametrize(("name", "control"), [("C1", "zero"), ("C3", "constant")])
def test_controls_decide_two_claims(name: str, control: str) -> None:
    """Forty points lower on all tasks confirm; equality on one refutes, though the others stay lower."""
    lower = decide(name, run(["A3b"], low("surrogate", control, 40)))
    assert lower.verdict == "confirmed"
    assert f"{control} minus atan" in lower.number
    assert lower.number.endswith("7 tasks")
    as_good = low("surrogate", control, 40)
    equal = run(["A3b"], lambda point, settings: 0.0 if point.task == "T3" else as_good(point, settings))
    assert decide(name, equal).verdict == "refuted"
    assert decide(name, run(["A3b"], low("surrogate", control, 1.9), spread=4.0)).verdict == "open"


def result(name: str, verdict: str, words: list[str] | None = None) -> HypothesisResult:
    """A hypothesis with this verdict, and rows with these words."""
    p = {"confirmed": (0.001, 1.0), "refuted": (1.0, 0.001), "open": (0.5, 0.5)}[verdict]
    rows = tuple(("T4", "learned", 0.1, -1.0, 1.0, 2.0, 0.5, 0.01, 0.9, word) for word in words or [])
    return HypothesisResult(name, "", "", "10", *p, why="numbers", rows=rows, p_corrected=min(p))


def test_claims_that_follow_hypotheses() -> None:
    """By hand: C2 of H1, H2 and H6; C12 and L5 of H8's comparisons."""
    three = lambda *words: [result(name, word) for name, word in zip(("H1", "H2", "H6"), words, strict=True)]  # noqa: E731
    assert decide("C2", results=three("open", "confirmed", "open")).verdict == "refuted"
    assert decide("C2", results=three("confirmed", "refuted", "confirmed")).verdict == "confirmed"
    assert decide("C2", results=three("confirmed", "open", "confirmed")).verdict == "open"
    assert decide("C12", results=[result("H8", "confirmed", ["equal"] * 4)]).verdict == "confirmed"
    assert decide("L5", results=[result("H8", "confirmed", ["equal"] * 4)]).verdict == "refuted"
    better = [result("H8", "open", ["equal", "better"])]
    assert (decide("C12", results=better).verdict, decide("L5", results=better).verdict) == ("refuted", "confirmed")


@pytest.mark.slow
def test_height_harms_through_reset_and_recurrence() -> None:
    """Twenty points lower where the gradient passes, and not where it is stopped: confirmed; nowhere: refuted."""

    def harm(point: StudyPoint, settings: Cell) -> float:
        key, word = {"T1": ("neuron.reset_gradient", "attached"), "T4": ("network.recurrence_gradient", "full")}.get(
            point.task, ("", "")
        )
        return -20.0 * (settings.get("surrogate.normalisation") == "area1" and settings.get(key) == word)

    assert decide("C4", run(["A2", "B2"], harm)).verdict == "confirmed"
    assert decide("C4", run(["A2", "B2"], none)).verdict == "refuted"
    everywhere = low("surrogate.normalisation", "area1", 20)
    assert decide("C4", run(["A2", "B2"], everywhere)).verdict == "open"


@pytest.mark.slow
def test_learning_rates_and_shapes() -> None:
    """Fast sigmoid loses nothing off its rate where others lose ten points a factor of four; then the reverse."""

    def steep(of: Callable[[str], bool]) -> Bonus:
        def lost(point: StudyPoint, settings: Cell) -> float:
            off = abs(math.log(float(str(settings["optimizer.lr"])) / 0.01, 4))
            return -10 * off * of(str(settings["surrogate"]))

        return lost

    others = run(["A2"], steep(lambda shape: shape != "fast_sigmoid"), base=95)
    assert decide("C5", others).verdict == "confirmed"
    mine = run(["A2"], steep(lambda shape: shape == "fast_sigmoid"), base=95)
    assert decide("C5", mine).verdict == "refuted"


@pytest.mark.slow
def test_what_a_start_decides() -> None:
    """Quiet networks learn with tails alone: a driven start is not needed (C6) and decides for triangle (L17)."""

    def deep(point: StudyPoint, settings: Cell) -> float:
        compact = settings["surrogate"] == "triangle" or settings.get("surrogate.tail") == 100
        quiet = point.task == "T2d4" and settings["init.gain"] in {None, 1}
        return -80.0 * (compact and quiet)

    table = run(["A2", "B1"], deep)
    assert decide("C6", table).verdict == "refuted"
    assert decide("L17", table).verdict == "confirmed"

    def all_dead(point: StudyPoint, settings: Cell) -> float:
        return -80.0 * (point.task == "T2d4" and settings["init.gain"] in {None, 1})

    assert decide("C6", run(["A2", "B1"], all_dead)).verdict == "confirmed"
    assert decide("C6", run(["A2"], all_dead)).verdict == "open"
    backwards = lambda point, settings: -80.0 * (point.task == "T2d4g")  # noqa: E731
    assert decide("L17", run(["A2"], backwards)).verdict == "refuted"


def test_spikes_can_be_cut_until_they_cannot() -> None:
    """Half of the spikes are free up to strength 0.01 and cost 20 points from 1 on; then every saving costs."""
    strengths = [0.0, 0.001, 0.01, 0.1, 1.0, 10.0]

    def made(losses: list[float]) -> StudyScores:
        def truth(point: StudyPoint, settings: Cell) -> Outcome:
            place = strengths.index(float(str(settings["regulariser.upper_strength"])))
            points = 90 - losses[place] + noise(point, 0.3)
            return Outcome(points, points, 100 * 0.4**place * math.exp(noise(point, 0.01, "spikes")))

        return scores(truth, ["C2"])

    free = decide("C11", made([0, 0, 0, 5, 20, 20]))
    assert free.verdict == "confirmed"
    assert "T1: 16 % of the spikes" in free.number
    assert decide("C11", made([0, 10, 10, 10, 20, 20])).verdict == "refuted"


def test_rules_against_each_other() -> None:
    """One step as good as e-prop confirms L12, ten points lower refutes it."""
    assert decide("L12", run(["DR"], none, base=99)).verdict == "open"  # of T6 ten of ten show no equality
    better = low("rule", "eprop", 20)
    assert decide("L12", run(["DR"], better, base=99)).verdict == "confirmed"
    assert decide("L12", run(["DR"], low("rule.window", 1, 10), base=99)).verdict == "refuted"


def test_careless_choices_against_a_paired_test() -> None:
    """Oracle: scipy's paired t-test of the mean distances to the best cell, deep and recurrent minus one layer."""

    def wide(tasks: tuple[str, ...]) -> Bonus:
        return lambda point, settings: (
            -10 * abs(math.log10(float(str(settings["width_fwhm"])) / 0.2)) * (point.task in tasks)
        )

    more = run(["A2"], wide(("T2d4", "T4", "T5")))
    found = decide("L2", more)
    assert found.verdict == "confirmed"
    assert decide("L2", run(["A2"], wide(("T1", "T2d1", "T3")))).verdict == "refuted"
    losses = {}
    for task in ("T2d4", "T4", "T5", "T1", "T2d1", "T3"):
        cells = [
            more.cell(task, "map", {"surrogate": shape, "width_fwhm": width}, start="A2")
            for shape in ("triangle", "gaussian", "sigmoid", "atan", "fast_sigmoid", "log_abs")
            for width in (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4)
        ]
        table = np.array([[cell[seed].accuracy for seed in range(300, 305)] for cell in cells])
        losses[task] = table[table.mean(axis=1).argmax()] - table.mean(axis=0)
    deep, simple = (
        np.mean([losses[task] for task in tasks], axis=0) for tasks in (("T2d4", "T4", "T5"), ("T1", "T2d1", "T3"))
    )
    ends = ttest_rel(deep, simple).confidence_interval()
    assert f"({ends.low:.1f} to {ends.high:.1f}) more" in found.number


def figure(mean: float, deviation: float, verdict: str = "agrees", seeds: int = 10) -> ReproducedFigure:
    """One figure of a reproduction."""
    return ReproducedFigure("at least 0", mean, deviation, seeds, verdict)


def test_claims_that_reproductions_decide() -> None:
    """By hand: C7 by agreement; C8 by intervals above or below 0; C10 by one of five points; L10 by both."""
    loop = {
        "integral of the surrogate gradient of slope 1, absolute": figure(0.2, 0.2),
        "integral of the true gradient of slope 1, absolute": figure(1e-16, 1e-16),
    }
    noise_of = lambda *means: {  # noqa: E731
        f"noise of slope {place}, matched above the other": figure(mean, 0.03) for place, mean in enumerate(means)
    }
    both = Elsewhere({"closed_loop": loop, "escape_noise_c8": noise_of(0.1, 0.1)})
    one = Elsewhere({"closed_loop": loop, "escape_noise_c8": noise_of(0.1, -0.05)})
    unsure = Elsewhere({"closed_loop": loop, "escape_noise_c8": noise_of(0.1, 0.001)})
    verdicts = [[decide(name, elsewhere=there).verdict for name in ("C7", "C8", "L10")] for there in (both, one)]
    assert verdicts == [["confirmed"] * 3, ["confirmed", "refuted", "refuted"]]
    assert decide("C8", elsewhere=unsure).verdict == "open"
    half = student.ppf(0.975, 9) * 3 / math.sqrt(10)
    assert f"10.0 ({10 - half:.1f} to {10 + half:.1f})" in decide("C8", elsewhere=both).number
    broken = {**loop, "integral of the true gradient of slope 1, absolute": figure(0.1, 0.1, "does not agree")}
    assert decide("C7", elsewhere=Elsewhere({"closed_loop": broken})).verdict == "refuted"
    for gap, wanted in ((0.0, "confirmed"), (0.2, "refuted"), (0.05, "open")):
        traces = Elsewhere(
            {
                "eprop_evidence": {"lowest error on validation within 480 iterations": figure(0.02, 0.0)},
                "delayed_xor_traces": {"back-propagation above a trace": figure(gap, 0.01)},
            }
        )
        assert decide("C10", elsewhere=traces).verdict == wanted


def test_each_slope_of_noise_has_its_own_seeds() -> None:
    """By hand: ten seeds of one figure and thirty of another, each behind its own interval."""
    noise = {
        f"noise of slope {seeds}, matched above the widest surrogate": figure(0.1, 0.03, seeds=seeds)
        for seeds in (30, 10)
    }
    number = decide("C8", elsewhere=Elsewhere({"escape_noise_c8": noise})).number
    said = [part.rpartition("), ")[2] for part in number.split("; ")]
    assert said == ["30 seeds", "10 seeds"]


def test_what_is_no_number_stops(tmp_path: Path) -> None:
    """Must match: what a file of figures states, and nothing without a file; must differ: words for a number."""
    path = tmp_path / "figures.json"
    assert read_reproduced(path) == {}
    one = {"line": "true", "published": "at most 1e-09", "ours": 1e-12, "seeds": 5, "verdict": "agrees"}

    def read(**changes: object) -> ReproducedFigure:
        tree = {"schema_version": 1, "reproductions": {"loop": {"figures": [one | changes]}}}
        path.write_text(json.dumps(tree))
        return read_reproduced(path)["loop"]["true"]

    assert read() == ReproducedFigure("at most 1e-09", 1e-12, None, 5, "agrees")
    assert read(ours=None, seeds=0, verdict="not measured").mean is None
    for wrong in ({"ours": "about 0.5"}, {"seeds": "five"}, {"verdict": "yes"}):
        with raises_naming(InputError, "figures.json", "loop"):
            read(**wrong)


def test_a_bound_decides_as_the_number_would() -> None:
    """Must match: the true gradient's integral below 1e-12 confirms C7, as 1e-16 does; ends of seeds are said."""
    loop = {
        "integral of the surrogate gradient of slope 1, absolute": figure(0.2, 0.2, seeds=5),
        "integral of the true gradient of slope 1, absolute": ReproducedFigure(
            "at most 1e-09", 1e-12, None, 7, "agrees"
        ),
    }
    found = decide("C7", elsewhere=Elsewhere({"closed_loop": loop}))
    assert found.verdict == "confirmed"
    assert found.number.endswith("at most 1e-12 with the true gradient; 5 to 7 loops")


def test_a_board_decides_feedback() -> None:
    """Twenty points below back-propagation with one layer refute C9; two points leave it open."""

    def there(behind: float) -> Elsewhere:
        full = {seed: 55.0 + 0.1 * seed for seed in range(5)}
        rules = {"bptt": full, "local": {seed: value - behind + 0.1 * (seed % 2) for seed, value in full.items()}}
        return Elsewhere(boards={BOARD: {(rule, "mlp(recurrence_gradient=full)"): of for rule, of in rules.items()}})

    assert decide("C9", elsewhere=there(20)).verdict == "refuted"
    assert decide("C9", elsewhere=there(2)).verdict == "open"


def test_what_a_checkout_holds_is_read() -> None:
    """Of this repository: figures with mean and spread, a board by seed, and the costs of rules."""
    found = read_elsewhere(ROOT, (BOARD,))
    loop = found.figures["closed_loop"]["integral of the surrogate gradient of slope 1, absolute"]
    assert loop.agrees
    assert loop.seeds == 5
    assert loop.estimate is not None
    rows = found.boards[BOARD]
    assert len({rule for rule, _ in rows}) > 5
    assert all(set(scores) == {200, 201, 202, 203, 204} for scores in rows.values())
    assert found.rule_costs["bptt"].times == 1


def test_the_page_has_a_line_a_claim() -> None:
    """Rules come before numbers, each claim has one line and one source, and no Python value is shown."""
    table = run(["A2", "A3b"], low("surrogate", "zero", 40))
    results = all_hypotheses(table, Rules(), generator=np.random.Generator(np.random.PCG64(0)))
    text = claims.page(evidence(table, results, read_elsewhere(ROOT, (BOARD,)))).text()
    for name in BY_NAME:
        assert text.count(f"| {name} |") == 1
        assert text.index(f"- **{name}**: ") < text.index(f"| {name} |")
    assert "| C1 | The true gradient does not train hidden layers. | **confirmed** |" in text
    assert not re.search(r"\bNone\b|\bnan\b|\(np\.|\binf\b", text)
    counted = re.search(r"Of 26 claims (\d+) are confirmed, (\d+) are refuted, (\d+) are open", text)
    assert counted is not None
    assert sum(map(int, counted.groups())) == 26
    for one in claims.UNDECIDABLE:
        assert text.count(one.says) == 1
        assert f"| {one.says} | {one.source} | {one.why} |" in text


def test_the_page_of_rules() -> None:
    """Random layers lie thirty points lower: worse on every task; costs stand beside; without runs it says so."""
    costs = Elsewhere(rule_costs={"bptt": RuleCost(1.0, 1.0, 1.0, 1.2), "frozen": RuleCost(0.4, 0.3, 0.6, 0.9)})
    page = learning_rules.page(evidence(run(["DR"], low("rule", "frozen", 30)), elsewhere=costs))
    text = page.text()
    assert "- **random layers**: worse on T4, worse on T5, worse on T6." in text
    assert "| random layers | 0.40 (0.30 to 0.60) | 0.9 |" in text
    scores, taken = (picture.numbers.panels for picture in page.pictures)  # type: ignore[attr-defined]
    assert {len(panel.y.names) for panel in (*scores, *taken)} == {7}
    assert (len(scores), [panel.title for panel in taken]) == (3, ["time a step", "memory"])
    empty = learning_rules.page(evidence(nothing(), elsewhere=costs))
    assert "Not known yet: 210 runs of block DR are missing." in empty.text()
    assert "(neurons.md)" in empty.text()
