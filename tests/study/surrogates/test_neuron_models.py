"""Neuron models and long sequences on runs of a known truth: what is put in is what the pages say."""

import math

from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.scores import StudyScores
from study.surrogates.analysis.pages import claims, long_sequences, neurons
from tests.study.surrogates.made import evidence
from tests.study.truth import SETTLED, Outcome, noise, scores, study, with_best

MODELS = tuple(neurons.MODELS)
TASKS = ("T4", "T5", "T6")
L15 = next(claim for claim in claims.CLAIMS if claim.name == "L15")


def settled_cell(model: str) -> Cell:
    """A settled cell such as block E chooses."""
    start: Cell = {"neuron": model, "surrogate": "atan", "optimizer.lr": 0.01, "width_fwhm": 0.2, "init.gain": 2.0}
    return {**start, **({"neuron.curvature": 1.0} if model == "qif" else {"neuron.beta": 0.9})}


def made(points: dict[str, float], *, base: float = 70.0) -> StudyScores:
    """Runs of E, ER and A3b: so many points more for a model, spikes twice as many for the quadratic one."""
    settled = {**with_best(), "E": {task: [settled_cell(model) for model in MODELS] for task in TASKS}}

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        model = str(run.cell.get("neuron", "leaky"))
        score = base + points.get(model, 0.0) + noise(run, 0.3)
        return Outcome(score, score, 100 * (2 if model == "qif" else 1) * math.exp(noise(run, 0.01, "spikes")))

    return scores(truth, ["E", "ER", "A3b"], settled=settled)


def test_the_page_of_neurons() -> None:
    """Quadratic 10 points lower where accuracy counts; nothing solves T6, where no model can be told apart."""
    page = neurons.page(evidence(made({"qif": -10.0, "alif": 5.0})))
    text = page.text()
    assert "- **quadratic**: worse on T4, worse on T5, open on T6." in text
    assert "- **adapting threshold**: better on T4, better on T5, open on T6." in text
    assert "- **synaptic**: equal on T4, equal on T5, open on T6." in text
    scores, spikes = (picture.numbers.panels for picture in page.pictures)  # type: ignore[attr-defined]
    assert [len(panel.y.names) for panel in (*scores, *spikes)] == [6] * 6
    low, high = spikes[0].series[0].points[-1].x_ends
    assert 1.9 < low < 2 < high < 2.1
    assert "reaches on the same seeds: T4 70." in text
    assert "| T4 | quadratic | 60." in text  # best of sixteen equal settings, as the median
    picture = page.pictures[0].draw()
    assert len(picture.axes) == 3


def test_quadratic_neurons_against_leaky_ones() -> None:
    """Better on both confirms L15, equal or worse on both refutes it, nothing run leaves it open."""
    assert L15.decide(evidence(made({"qif": 5.0}))).verdict == "confirmed"
    assert L15.decide(evidence(made({"qif": -5.0}))).verdict == "refuted"
    assert L15.decide(evidence(made({}))).verdict == "refuted"  # equal within two points
    empty = StudyScores(study().study, SETTLED, [])
    said = L15.decide(evidence(empty))
    assert (said.verdict, said.number) == ("open", "180 runs of block ER are missing")
    assert "180 runs of block ER are missing" in neurons.page(evidence(empty)).text()


def test_long_sequences() -> None:
    """By hand: five shapes lose 12 points at width 2, log_abs gains 4 there; cut, no run fails and all reach 75."""

    def truth(run: StudyPoint, settings: Cell) -> Outcome:
        wide, heavy = settings["width_fwhm"] == 2, settings["surrogate"] == "log_abs"
        points = 80 + (4 if heavy else -12) * wide
        if settings["network.recurrence_gradient"] == "cut":
            points = 75
        return Outcome(points, points, failed=wide and settings["surrogate"] == "triangle" and run.seed == 300)

    table = scores(truth, ["H"])
    text = long_sequences.page(evidence(table)).text()
    assert "1 of 60 runs at widths of 0.5 and more fail" in text
    assert "the best is 0.5 or less for 5 of 6 shapes, and 5 of 6 lie at width 2 more than 2 points below it" in text
    assert "log_abs 2 (84.0 %)" in text
    assert "| T8 | triangle | 2 | 56.4 (25.9 to 82.7) | 5 | 1 | none |" in text  # 68, and 10 once: t on the logit
    assert "cut" not in text
    part = StudyScores(table.study, SETTLED, table.runs[1:])
    assert "1 runs of block H are missing" in long_sequences.page(evidence(part)).text()
    whole = long_sequences.page(evidence(scores(truth, ["H", "H2"])))
    text = whole.text()
    assert "cut**: at width 0.1 0 of 30 runs fail, 0 of 30 without; shapes reach 75.0 % (triangle) to 75.0 %" in text
    assert len(whole.pictures[0].draw().axes) >= 1
    assert "90 runs of block H are missing" in long_sequences.page(evidence(made({}))).text()
