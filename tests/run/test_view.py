"""The table of a running sweep: expected by hand from what workers tell."""

from __future__ import annotations

import io
import re

from rich.console import Console

from sgbench.composition.plan import plan
from sgbench.leaderboard.differing_settings import names_apart
from sgbench.records.content import EpochScores
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.replicas.messages import WorkerMessage
from sgbench.replicas.view import MOST_ROWS, SweepView, kinds
from tests.run.tiny import WORDS


def view_of(*words: str, terminal: bool = False, finished=None) -> tuple[SweepView, io.StringIO]:
    """A view at 80 columns, and what it writes."""
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=terminal, color_system=None)
    specs = plan([*WORDS, *words], multirun=True).specs
    return SweepView(specs, finished or {}, lambda record: f"seed {record.seed}", console), out


def lines_of(view: SweepView) -> list[str]:
    """The table as text."""
    console = Console(file=io.StringIO(), width=80)
    console.print(view.table())
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_rows_count_what_is_done_running_and_failed(finished: RunRecord) -> None:
    """Six points: one done, one running, one failed, three to come."""
    view, _ = view_of("surrogate=atan,triangle", "seed=0,1,2")
    view.hear(WorkerMessage(0, "began"))
    view.hear(WorkerMessage(1, "began"))
    view.hear(WorkerMessage(1, "epoch", epochs=1))
    view.hear(WorkerMessage(0, "ended", record=finished))
    view.hear(WorkerMessage(3, "refused", line="the disk is full"))
    accuracy = f"{100 * finished.validation.accuracy:.1f} %"  # type: ignore[union-attr]
    assert lines_of(view) == [
        "done running failed epoch best validation",
        f"atan 1/3 1 0 1 of 3 {accuracy}",
        "triangle 0/3 0 1 - -",
    ]
    status = view.status()
    assert status.startswith(f"1/6 done, 1 running, 1 failed | best {accuracy} atan seed 0 | 0:00")
    assert view.problems == ["the disk is full"]
    # Of 18 epochs 3 + 1 + 3 are over.
    assert sum(view.epochs.values()) / view.planned == 7 / 18


def test_epoch_and_best_are_there_from_the_first_epoch_on(finished: RunRecord) -> None:
    """By hand: two of three points are under way, at epochs 1 and 2; the best goes with a point that fails."""
    view, _ = view_of("surrogate=atan,triangle", "seed=0,1")
    lines = [
        EpochScores(epoch=epoch, train_loss=1.0, validation_loss=1.0, validation_accuracy=accuracy)
        for epoch, accuracy in ((0, 0.25), (1, 0.75))
    ]
    view.hear(WorkerMessage(0, "began"))
    assert lines_of(view)[1] == "atan 0/2 1 0 0 of 3 -"
    view.hear(WorkerMessage(0, "epoch", epochs=1, selected=lines[0]))
    view.hear(WorkerMessage(1, "epoch", epochs=2, selected=lines[1]))
    assert lines_of(view)[1:] == ["atan 0/2 2 0 1 to 2 of 3 75.0 %", "triangle 0/2 0 0 - -"]
    assert "| best 75.0 % atan seed 1 |" in view.status()
    view.hear(WorkerMessage(1, "refused", line="the disk is full"))
    assert lines_of(view)[1] == "atan 0/2 1 1 1 of 3 25.0 %"


def test_a_loss_is_the_better_the_less_of_it(finished: RunRecord) -> None:
    """Expected: the lesser of two losses, whichever ended last; of a suite with both, the accuracy leads."""
    view, _ = view_of("surrogate=atan,triangle", "seed=0,1")
    for place, loss in ((0, 0.02), (1, 0.5)):
        scores = finished.validation.model_copy(update={"accuracy": None, "loss": loss})
        view.hear(WorkerMessage(place, "ended", record=finished.model_copy(update={"validation": scores})))
    assert lines_of(view)[1:] == ["atan 2/2 0 0 - loss 0.02", "triangle 0/2 0 0 - -"]
    assert "| best loss 0.02 atan seed 0 |" in view.status()
    view.hear(WorkerMessage(2, "ended", record=finished))
    assert f"| best {100 * finished.validation.accuracy:.1f} % triangle seed 0 |" in view.status()


def test_what_was_finished_before_counts_as_done_but_not_for_the_time_left(finished: RunRecord) -> None:
    view, _ = view_of("surrogate=atan", "seed=0,1", finished={0: finished})
    assert view.status().startswith("1/2 done")
    assert view.planned == 3


def test_the_table_fits_80_columns_and_24_lines() -> None:
    """A terminal: twenty kinds of point with long names leave room for those that run."""
    words = ",".join(f"0.{place:02d}000000000000001" for place in range(1, 21))
    view, out = view_of(f"optimizer.lr={words}", terminal=True)
    view.hear(WorkerMessage(19, "began"))
    view.tick()
    lines = lines_of(view)
    assert len(lines) == 1 + MOST_ROWS
    assert lines[1].startswith("optimizer.lr=0.2")
    assert lines[-1] == "and 9 more"
    view.close()
    drawn = re.sub(r"\x1b\[[0-9?]*[A-Za-z]", "\n", out.getvalue())
    assert 60 < max(map(len, drawn.splitlines())) <= 80


def test_a_log_has_lines_and_one_table(finished: RunRecord) -> None:
    """No terminal: nothing is redrawn, no control characters; the table comes once, at the end."""
    view, out = view_of("surrogate=atan,triangle")
    view.tick()
    view.hear(WorkerMessage(0, "ended", record=finished))
    view.tick()
    view.close()
    text = out.getvalue()
    assert "\x1b" not in text
    assert text.splitlines()[0] == "[1/2] seed 0"
    assert text.count("mean validation") == 1
    assert "best validation" not in text


def test_the_last_table_has_means_over_seeds_of_each_setting(finished: RunRecord) -> None:
    """By hand: 0.9 and 0.3 give 60 %, whatever the best seed or the best width; a failed seed is counted beside.

    Must match: the names that a board has. Of 50 settings the 40 best have a row.
    """
    words = ["surrogate=atan,zero", "surrogate.normalisation=raw,peak1", "seed=0,1"]
    view, out = view_of(*words)
    for point, accuracy in enumerate([0.9, 0.3, 0.5, 0.5, 0.2]):
        scores = finished.validation.model_copy(update={"accuracy": accuracy})
        view.hear(WorkerMessage(point, "ended", record=finished.model_copy(update={"validation": scores})))
    view.hear(WorkerMessage(5, "refused", line="the disk is full"))
    view.close()
    methods = {method_id(spec.method): spec.method for spec in view.specs}
    rows = [" ".join(line.split()) for line in out.getvalue().splitlines()[-5:]]
    assert rows[0] == "done failed mean validation"
    states = ["2/2 0 60.0 %", "2/2 0 50.0 %", "1/2 1 20.0 %", "0/2 0 -"]
    assert rows[1:] == [f"{name} {state}" for name, state in zip(names_apart(methods).values(), states, strict=True)]
    many = [f"optimizer.lr={','.join(f'0.{n:02d}' for n in range(1, 51))}", "seed=0"]
    view, out = view_of(*many)
    for point in range(50):
        scores = finished.validation.model_copy(update={"accuracy": point / 100})
        view.hear(WorkerMessage(point, "ended", record=finished.model_copy(update={"validation": scores})))
    view.close()
    last = out.getvalue().splitlines()
    assert last[-41].endswith("49.0 %")
    assert last[-2].endswith("10.0 %")
    assert last[-1].split() == ["and", "10", "more,", "none", "of", "them", "better"]


def test_rows_are_what_differs() -> None:
    """By surrogate where there are several, else by what else has the fewest values, seeds last."""
    assert kinds(plan([*WORDS, "surrogate=atan,zero", "seed=0,1"], multirun=True).specs) == [
        "atan",
        "atan",
        "zero",
        "zero",
    ]
    assert set(kinds(plan([*WORDS, "optimizer.lr=0.1,0.2,0.3", "seed=0,1"], multirun=True).specs)) == {
        "optimizer.lr=0.1",
        "optimizer.lr=0.2",
        "optimizer.lr=0.3",
    }
    assert set(kinds(plan([*WORDS, "seed=0,1"], multirun=True).specs)) == {"seed=0", "seed=1"}


def test_rules_are_rows_by_their_names() -> None:
    """Expected: a row a rule; a number that one of them alone has is shared by the others, and names none."""
    view, _ = view_of("rule=bptt,dfa,eprop", "loss=per_step", "seed=0,1")
    assert [line.split()[:2] for line in lines_of(view)[1:]] == [
        ["rule=bptt", "0/2"],
        ["rule=direct_feedback", "0/2"],
        ["rule=eprop", "0/2"],
    ]
    scores = EpochScores(epoch=0, train_loss=1.0, validation_loss=1.0, validation_accuracy=0.5)
    view.hear(WorkerMessage(5, "epoch", epochs=1, selected=scores))
    assert "| best 50.0 % rule=eprop atan seed 1 |" in view.status()


def test_the_time_left_is_said_once_it_can_be_known() -> None:
    """Expected: no time before a twentieth of all 3 x 20 epochs is over, and one from the third epoch on."""
    view, _ = view_of(f"seed={','.join(map(str, range(20)))}")
    view.hear(WorkerMessage(0, "epoch", epochs=2))
    assert view.status().endswith(" | 0:00")
    view.hear(WorkerMessage(0, "epoch", epochs=3))
    assert view.status().endswith(" left")


def test_a_notebook_has_one_output_that_ends_without_what_was_passing(finished: RunRecord) -> None:
    """By hand: of two points one ends; the last text has its line and the table, and no line of status."""
    texts: list[str] = []
    specs = plan([*WORDS, "surrogate=atan,triangle"], multirun=True).specs
    console = Console(file=io.StringIO(), force_terminal=False)
    view = SweepView(specs, {}, lambda record: f"seed {record.seed}", console, texts.append)
    view.hear(WorkerMessage(0, "began"))
    view.tick()
    assert "0/2 done, 1 running" in texts[-1]
    view.hear(WorkerMessage(0, "ended", record=finished))
    view.close()
    first, head, *rows = texts[-1].splitlines()
    assert first == "[1/2] seed 0"
    assert head.split() == ["done", "failed", "mean", "validation"]
    assert [(row.partition("(")[0].strip(), next(cell for cell in row.split() if "/" in cell)) for row in rows] == [
        ("atan", "1/1"),
        ("triangle", "0/1"),
    ]
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
