"""Methods over settings and tasks, on made-up records; figures by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from registry.__main__ import main as keep
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.families import across_tasks, check_groups, families, select_methods, slope_of, tuned
from sgbench.leaderboard.rows import Measured, measure
from sgbench.leaderboard.score import Measure
from sgbench.records.spec import Method
from tests.leaderboard.factory import CLASSES, method, record, write_board_record, write_run
from tests.leaderboard.test_loss_boards import with_loss

MEASURES = dict.fromkeys(("a_v1", "b_v1"), Measure("accuracy", 1 / 10))


def measured(of: Method, accuracies: tuple[float | None, ...]) -> Measured:
    """One method of the toy protocol, which selects by loss; here it falls as accuracy rises."""
    group = [record(seed=seed, accuracy=value, of=of, loss=1 - (value or 0)) for seed, value in enumerate(accuracies)]
    return measure(group, classes=CLASSES, targets=(), dt_s=0.001)


def wide(width: float, *, surrogate: str = "atan") -> Method:
    """A setting."""
    return method(surrogate=surrogate, parameters={"surrogate": {"width_fwhm": width}})


SETTINGS = [
    measured(wide(1.0), (0.9, 0.94)),
    measured(wide(2.0), (0.8, 0.8)),
    measured(wide(4.0), (None, 0.5)),
    measured(wide(1.0, surrogate="triangle"), (0.7, 0.7)),
]


def test_tuning_of_a_family() -> None:
    """By hand: means 0.92, 0.8 and (0.1 + 0.5) / 2; slopes 1, 1/2, 1/4; one of six runs failed."""
    found = tuned("atan", families(SETTINGS, ["surrogate"])["atan"], MEASURES["a_v1"])
    assert (found.settings, found.slopes) == (3, 3)
    assert found.failed_share == pytest.approx(1 / 6)
    assert found.best_test == pytest.approx(0.92)
    assert found.expected_test == pytest.approx([(0.92 + 0.8 + 0.3) / 3, (0.92 * 2 + 0.8) / 3, 0.92])
    assert found.slope_sensitivity == pytest.approx(((0.3 + 0.8) / 2 + (0.8 + 0.92) / 2) / 2)


def test_only_methods_with_a_number() -> None:
    """By hand: two at width 1, however it is written, and one without a width; must differ: width 2."""
    plain = measured(method(surrogate="zero", parameters={"surrogate": {"normalisation": "raw"}}), (0.1, 0.1))
    kept = select_methods([*SETTINGS, plain], ["surrogate.width_fwhm=1"])
    assert kept == [SETTINGS[0], SETTINGS[3], plain]
    assert select_methods([*SETTINGS, plain], ["surrogate.width_fwhm=1.0"]) == kept
    assert select_methods(SETTINGS, ["surrogate.width_fwhm=2", "surrogate.width_fwhm=1"]) == []
    assert select_methods(SETTINGS, []) == SETTINGS
    for bad in ("width_fwhm=1", "surrogate.width_fwhm", "surrogate=atan", "surrogat.x=1"):
        with pytest.raises(InputError, match=r"--(only|by) "):
            select_methods(SETTINGS, [bad])


def test_the_protocols_monitor_selects() -> None:
    """Must differ: of two settings the one with the smaller loss is taken, though its accuracy is lower."""
    low = measure([record(accuracy=0.7, loss=0.1)], classes=CLASSES, targets=(), dt_s=0.001)
    high = measure([record(accuracy=0.9, loss=0.2, of=wide(2.0))], classes=CLASSES, targets=(), dt_s=0.001)
    assert tuned("atan", [low, high], MEASURES["a_v1"]).best_test == pytest.approx(0.7)


def test_losses_mirror_accuracies() -> None:
    """Must match: settings with losses give what those with 1 - loss as accuracy give, mirrored; a failed run
    counts as the guess of each."""
    scores = {1.0: (0.3, 0.5), 2.0: (0.9, None), 4.0: (0.1, 0.2)}
    found = {}
    for kind in ("loss", "accuracy"):
        settings = []
        for width, values in scores.items():
            group = [with_loss(seed, value, wide(width)) for seed, value in enumerate(values)]
            if kind == "accuracy":
                group = [
                    record(seed=seed, accuracy=None if value is None else 1 - value, of=wide(width), loss=value or 0)
                    for seed, value in enumerate(values)
                ]
            classes = None if kind == "loss" else 2
            settings.append(measure(group, classes=classes, guess_loss=0.5, targets=(), dt_s=0.001))
        found[kind] = tuned("atan", settings, Measure(kind, 0.5))
    loss, accuracy = found["loss"], found["accuracy"]
    assert loss.best_test == pytest.approx(0.15)
    for name in ("best_test", "ten_best", "slope_sensitivity", "expected_test", "expected_low", "expected_high"):
        mirrored = 1 - np.array(getattr(accuracy, name))
        assert getattr(loss, name) == pytest.approx(mirrored), name


def test_slope_is_the_one_number() -> None:
    """By hand: the inverse of a width, a native number, and none where there are two or none."""
    native = {"surrogate": {"width_fwhm": None, "alpha": 3.0}}
    both = {"surrogate": {"width_fwhm": 1.0, "alpha": 3.0}}
    assert slope_of(wide(2.0)) == 0.5
    assert slope_of(method(parameters=native)) == 3.0
    assert slope_of(method(parameters=both)) is None
    assert slope_of(method(parameters={"surrogate": {"width_fwhm": None}})) is None


def test_across_tasks_by_hand() -> None:
    """By hand: on both tasks atan is best at width 1; normalised (x - 0.1) / 0.9; ranks 1 and 2."""
    tasks = {"a_v1": SETTINGS, "b_v1": SETTINGS}
    found = across_tasks(tasks, MEASURES, by=["surrogate"])
    assert [each.name for each in found.families] == ["atan", "triangle"]
    first = found.families[0]
    # Runs 0.9, 0.94, 0.9, 0.94: the middle half is one of each.
    assert first.interquartile_mean == pytest.approx((0.92 - 0.1) / 0.9)
    assert first.settings == (3, 3)
    assert first.mean_rank == 1.0
    assert found.ranks is not None


def test_family_that_misses_a_task_is_left_out() -> None:
    """A mean over other tasks is no comparison."""
    other = measured(wide(1.0, surrogate="sigmoid"), (0.7, 0.7))
    found = across_tasks({"a_v1": SETTINGS, "b_v1": [*SETTINGS[:3], other]}, MEASURES, by=["surrogate"])
    assert [each.name for each in found.families] == ["atan"]
    assert found.left_out == ("sigmoid", "triangle")
    lacking = "no surrogate ran on all of a_v1, b_v1: atan is not on b_v1; triangle is not on a_v1; name tasks"
    with pytest.raises(InputError, match=lacking):
        across_tasks({"a_v1": SETTINGS[:3], "b_v1": SETTINGS[3:]}, MEASURES, by=["surrogate"])


def test_a_task_with_one_family_compares_none() -> None:
    """Must match: the standings without a board on which every method has the same surrogate; it is named."""
    both = {"a_v1": SETTINGS, "b_v1": SETTINGS}
    found = across_tasks(both | {"rules_v1": SETTINGS[:3]}, MEASURES, by=["surrogate"])
    expected = across_tasks(both, MEASURES, by=["surrogate"])
    assert (found.tasks, found.left_out, found.alone) == (("a_v1", "b_v1"), (), ("rules_v1",))
    assert [each.mean_rank for each in found.families] == [each.mean_rank for each in expected.families]
    assert expected.alone == across_tasks({"a_v1": SETTINGS[:3]}, MEASURES, by=["surrogate"]).alone == ()


def test_unknown_group() -> None:
    """The nearest is offered."""
    with pytest.raises(InputError, match="did you mean 'surrogate'"):
        check_groups(["surogate"])


@pytest.fixture
def runs(runs_dir: Path) -> Path:
    """Two widths of the shipped protocol's reference."""
    plain = compose_reference("digits_v1").method
    for width, accuracy in ((1.0, 0.95), (2.0, 0.9)):
        parameters = plain.parameters | {"surrogate": plain.parameters["surrogate"] | {"width_fwhm": width}}
        for seed in (0, 1):
            found = plain.model_copy(update={"parameters": parameters})
            write_run(runs_dir, record(seed=seed, accuracy=accuracy, of=found, loss=1 - accuracy))
    return runs_dir


def test_commands(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Tables that say what they are, and pictures."""
    assert main(["board", "tuning", "--plot", str(tmp_path / "t.png")]) == 0
    assert "best on validation" in capsys.readouterr().out
    assert main(["board", "across", "--plot", str(tmp_path / "a.png"), "--json"]) == 0
    (standing,) = json.loads(capsys.readouterr().out)["standings"]
    assert standing["settings"] == [2]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("t.png", "a.png"))


@pytest.mark.slow
def test_table_for_a_page(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Expected: the same cells as on the terminal, (0.95 - 0.1) / 0.9 by hand; protocols by commas or one by one,
    and the nearest name to a wrong one."""
    plain = ["board", "across", "--protocol", "digits_v1"]
    assert main(plain) == 0
    head, row = capsys.readouterr().out.splitlines()[:2]
    assert main([*plain, "--markdown"]) == 0
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()]
    assert [" ".join(line) for line in (lines[0], lines[2])] == [" ".join(each.split()) for each in (head, row)]
    assert lines[1] == [":--", *["--:"] * 5]
    assert f"{100 * (0.95 - 0.1) / 0.9:.2f}" == lines[2][1]
    assert main(["board", "across", "--protocol", "digits_v1,digit_v1"]) == 2
    assert "did you mean 'digits_v1'" in capsys.readouterr().err


def test_withdrawn_method_stays_and_is_not_ranked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A notice beside the records: out of the ranks, in a table of its own; nothing is overwritten."""
    plain = compose_reference("digits_v1").method
    root = tmp_path / "boards"
    for seed in (0, 1):
        found = record(seed=seed, accuracy=0.9 - seed / 360, of=plain)
        write_board_record(root, found)
    words = ["withdraw", found.method_id, "--protocol", "digits_v1", "--root", str(root), "--reason"]
    assert keep([*words, "the <b>data</b> order"]) == 2
    assert keep([*words, "the data order"]) == 0
    assert keep([*words, "another reason"]) == 2
    assert "never overwritten" in capsys.readouterr().err
    assert main(["board", "build", "--from", "leaderboards", "--root", str(root)]) == 0
    page = (root / "digits_v1" / "table.md").read_text()
    assert "## Withdrawn and superseded" in page
    assert "| withdrawn | - | the data order | 89.86 |" in page
    assert len(list(root.rglob("records/*/*.json"))) == 2
