"""What is measured before training, and how the page joins it with the map."""

import math
from pathlib import Path

import pytest
import torch

from sgbench.composition.compose import compose
from sgbench.study_runner.cells import Cell, StudyPoint
from sgbench.study_runner.definition import CellGrid
from sgbench.study_runner.run import StudyFolders
from sgbench.study_runner.scores import StudyScores
from sgbench.study_runner.store import Store
from sgbench.training.build import build
from study.reporting.run_table import SHAPES
from study.surrogates.analysis.evidence import SurrogateEvidence
from study.surrogates.analysis.initial_gradients import measure_gradients, measured_cell
from study.surrogates.analysis.pages import diagnosis
from study.surrogates.analysis.pages.diagnosis import StartPanel, StartPoint, start_figure
from study.surrogates.analysis.starting import InitialCell, InitialStates, read_initial
from tests.study.surrogates import made
from tests.study.truth import SETTLED, Outcome, noise, scores, study

WIDTHS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0)
WORDS = ("experiment=digits_deep_v1", "protocol.hidden=[8,8]", "seed=300", "trainer.progress=false")


def initial(turned: bool = False) -> InitialStates:
    """Gradients that grow with the width and vanish for triangle below width 1; the widest is not finite."""

    def cell(shape: str, width: float) -> InitialCell:
        norm = 0.0 if shape == "triangle" and width < 1 else (1 / width if turned else width)
        return InitialCell(
            surrogate=shape,
            width_fwhm=width,
            gradients=(None if width == 4 else norm, 1.0),
            in_window=(min(1.0, width / 4), 0.5),
        )

    cells = tuple(cell(shape, width) for shape in SHAPES for width in WIDTHS)
    return InitialStates(seed=300, tasks={"T1": cells, "T2d4": cells})


def truth(run: StudyPoint, settings: Cell) -> Outcome:
    """Accuracy grows with the width; triangle below width 1 stays at 10 points."""
    width = float(str(settings["width_fwhm"]))
    dead = settings["surrogate"] == "triangle" and width < 1
    points = 10.0 if dead else 70 + 10 * math.log10(width)
    return Outcome(points + noise(run, 0.01), points)


def evidence(states: InitialStates | None, table: StudyScores) -> SurrogateEvidence:
    """What the page is written from."""
    return made.evidence(table, initial=states)


def test_the_page_joins_starts_with_ends() -> None:
    """By hand: the same order on both sides is a correlation of 1, the reverse one below 0; both are said."""
    table = scores(truth, ["A2"], tasks=["T1", "T2d4"])
    page = diagnosis.page(evidence(initial(), table))
    text = page.text()
    assert "goes with higher accuracy (rank correlation above 0.5) on T1, T2d4" in text
    errors, correlations = [line for line in text.splitlines() if line.startswith("| T1: ")]
    assert float(correlations.split("|")[2].split()[0]) > 0.9
    assert float(errors.split("|")[2]) < float(errors.split("|")[3])  # triangle is told by its gradient alone
    assert "| T1 | atan | 4 | not finite, 1 |" in text
    turned = diagnosis.page(evidence(initial(turned=True), table)).text()
    assert "goes with higher accuracy (rank correlation above 0.5) on no task" in turned
    assert [picture.name for picture in page.pictures] == ["diagnosis_gradient.png"]


def test_without_measurement_or_runs_the_page_says_so() -> None:
    """One line each: what to run, and how many runs are missing."""
    empty = StudyScores(study().study, SETTLED, [])
    assert "`python -m study measure surrogates --gradients` does it" in diagnosis.page(evidence(None, empty)).text()
    assert "runs of block A2 are missing" in diagnosis.page(evidence(initial(), empty)).text()


@pytest.mark.slow
def test_a_cell_is_measured_as_autograd_says() -> None:
    """Oracle: the norm of autograd's gradient of the first layer's weights, of the run's own network and loss."""
    spec = compose([*WORDS, "surrogate=atan", "width_fwhm=0.5"])
    parts = build(spec)
    parts.data.setup()
    batch = next(iter(parts.data.epoch(0)))
    cell = measured_cell("atan", 0.5, spec, batch)
    network = build(spec).network
    network.train()
    trajectory = network.unroll(batch.x, batch.lengths, keep=parts.objective.keep)
    parts.objective.whole(trajectory, batch.target).backward()
    squares = [float(weight.grad.square().sum()) for weight in network.hidden_layers[0].parameters()]
    assert cell.gradients[0] == pytest.approx(math.sqrt(sum(squares)), rel=1e-3)
    assert len(cell.gradients) == len(cell.in_window) == 2
    wide = measured_cell("atan", 8.0, compose([*WORDS, "surrogate=atan", "width_fwhm=8"]), batch)
    assert wide.in_window[0] > cell.in_window[0]
    triangle = measured_cell("triangle", 0.1, compose([*WORDS, "surrogate=triangle", "width_fwhm=0.1"]), batch)
    assert (
        triangle.in_window
        == measured_cell("atan", 0.1, compose([*WORDS, "surrogate=atan", "width_fwhm=0.1"]), batch).in_window
    )
    assert torch.is_grad_enabled()


def test_marks_without_a_place_stand_in_strips() -> None:
    """A gradient of 0, or next to it, stands left of all others, one that is not finite right of them."""
    points = (
        StartPoint("atan", 0.0, 10),
        StartPoint("atan", 1.0, 50),
        StartPoint("atan", 10.0, 90),
        StartPoint("atan", None, 20),
        StartPoint("atan", 1e-30, 10),
    )
    axes = start_figure([StartPanel("a task", "a note", 10, points)], label="a number").axes[0]
    places = list(axes.lines[0].get_xdata())
    assert places[0] < 1
    assert places[3] > 10
    assert places[4] == places[0]
    assert [text.get_text() for text in axes.texts] == ["0", "∞"]


def test_every_cell_of_the_map_is_stored(tmp_path: Path) -> None:
    """Of a map of two shapes on one task: both cells by name, read back as they were measured."""
    plan = study().study
    grid = CellGrid(values={"surrogate": ("atan", "triangle"), "width_fwhm": (0.5,)})
    small = plan.blocks["A2"].model_copy(update={"tasks": ("T2d1",), "grids": (grid,), "reference": None})
    loaded = study().model_copy(update={"study": plan.model_copy(update={"blocks": {**plan.blocks, "A2": small}})})
    place = StudyFolders(store=Store(tmp_path / "store", "surrogates"), runs_dir=tmp_path)
    assert list(measure_gradients(loaded, place)) == [("T2d1", 2)]
    states = read_initial(tmp_path / "store")
    assert states is not None
    assert [(cell.surrogate, cell.width_fwhm) for cell in states.tasks["T2d1"]] == [("atan", 0.5), ("triangle", 0.5)]
