"""Boards at their edges: nothing ranked, files lost, other folders, prices that no share of events matters to.

Expected values are worked out by hand; each says from what.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from rich.console import Console

from sgbench.cli.main import main
from sgbench.leaderboard.board import rebuild
from sgbench.leaderboard.deviation import compose_reference
from sgbench.leaderboard.families import AcrossTasks, FamilyStanding, Tuned
from sgbench.leaderboard.pages.explain import explain
from sgbench.leaderboard.pages.family_pictures import mean_ranks, profiles, tuning_curves
from sgbench.leaderboard.pages.table import to_markdown
from sgbench.leaderboard.pages.terminal_energy import add_energy
from sgbench.leaderboard.pages.terminal_outside import outsider_cells
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.score import Measure
from sgbench.leaderboard.store.dossier import Dossier, place, read_dossiers
from sgbench.leaderboard.store.kept import lost_files
from sgbench.leaderboard.store.outside import Outsider, place_external
from sgbench.plots import style
from sgbench.plots.methods import across_figure, tuning_figure
from sgbench.plots.style import COLOURS
from sgbench.records.submission import ExternalRecord, Submission, external_id
from sgbench.records.trust import Notice, Verification
from sgbench.statistics.across_tasks import RankTest
from sgbench.statistics.intervals import summarise
from tests.leaderboard.factory import CLASSES, make_board, protocol, record, write_board_record, write_run
from tests.leaderboard.test_matched import Prices, board, chip

PUBLISHED = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"
CODE = "https://example.org/mine"
SHA = "a" * 64


def hand_in(root: Path, *accuracies: float, name: str = "My net") -> str:
    """An accepted result from outside on digits_v1, as the files of a board say it; its id."""
    folder = root / "digits_v1"
    identity = external_id("digits_v1", name, CODE)
    for seed, accuracy in enumerate(accuracies):
        found = ExternalRecord(
            schema_version=1,
            protocol="digits_v1",
            method_id=identity,
            seed=seed,
            status="finished",
            samples=100,
            accuracy=accuracy,
            predictions_sha256=SHA,
        )
        place_external(folder, found)
    files = [{"path": "predictions/0.csv", "sha256": SHA, "bytes": 1}]
    head = {
        "protocol": "digits_v1",
        "method_id": identity,
        "division": "external",
        "name": name,
        "code": CODE,
    }
    tree = head | {"schema_version": 1, "contact": "@me", "paper": None, "licence": "CC0-1.0", "method": None}
    tree |= {"seeds": range(len(accuracies)), "data_sha256": None, "environment": None, "tuning_trials": 0}
    tree |= {"files": files, "created_utc": "2026-01-01T00:00:00Z"}
    place(folder, Submission.model_validate_json(json_of(tree)))
    reference = folder / "objects" / f"{SHA}.csv.ref"
    reference.parent.mkdir(exist_ok=True)
    reference.write_text(f'{{"sha256": "{SHA}", "bytes": 1, "url": "{CODE}"}}')
    return identity


def json_of(tree: Mapping[str, object]) -> str:
    """Lists in place of ranges."""
    return json.dumps(tree, default=list)


def sgbench(*words: str, root: Path) -> int:
    """A subcommand of `board` on a leaderboards folder."""
    source = [] if words[0] == "check" else ["--from", "leaderboards"]
    return main(["board", *words, *source, "--root", str(root)])


@pytest.mark.slow
def test_board_of_results_from_outside_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: seeds of 0.90 and 0.92 are 91 +- 12.706 x 0.01; a page with them, no picture, checked clean."""
    identity = hand_in(tmp_path, 0.90, 0.92)
    assert sgbench("build", root=tmp_path) == 0
    folder = tmp_path / "digits_v1"
    assert (
        f"digits_v1: 0 methods, 0 records, 1 from outside; {folder / 'table.md'}" in capsys.readouterr().out
    )
    page = (folder / "table.md").read_text()
    assert "No method counts: 1 from outside the catalogue; see below." in page
    assert f"| `My net` | `{CODE}` | self-reported | 91.00 ± 12.71 | 2 | 90.00, 92.00 |" in page
    assert "| rank |" not in page
    assert not (folder / "board.png").exists()
    assert sgbench("show", root=tmp_path) == 0
    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if line.startswith("My net")]
    assert line.split()[2:] == ["91.00", "±", "12.71", "2", "self-reported"]
    assert "no method counts: 1 from outside the catalogue" in shown
    assert sgbench("check", root=tmp_path) == 0
    assert "1 board checked (digits_v1), 0 findings" in capsys.readouterr().out
    reason = {"protocol": "digits_v1", "method_id": identity, "kind": "withdrawn", "superseded_by": None}
    reason |= {"schema_version": 1, "reason": "wrong data", "created_utc": "2026-01-01T00:00:00Z"}
    place(folder, Notice.model_validate(reason))
    assert sgbench("show", root=tmp_path) == 0
    shown = capsys.readouterr().out
    assert "no method counts: 1 withdrawn\n" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("My net")]
    assert line.split()[-1] == "withdrawn"
    (folder / "external" / identity / "1.json").unlink()
    assert sgbench("check", root=tmp_path) == 1


@pytest.mark.slow
def test_results_from_outside_stand_below_the_others(tmp_path: Path, capsys) -> None:
    """Must differ: with a record there is a rank, and the block from outside follows; in Markdown too."""
    hand_in(tmp_path, 0.90, 0.92)
    write_board_record(tmp_path, record(of=compose_reference("digits_v1").method))
    assert sgbench("build", root=tmp_path) == 0
    assert "digits_v1: 1 method, 1 record, 1 from outside;" in capsys.readouterr().out
    assert sgbench("show", root=tmp_path) == 0
    shown = capsys.readouterr().out
    assert shown.index("atan") < shown.index("My net")
    assert "no method counts" not in shown
    assert sgbench("show", "--markdown", root=tmp_path) == 0
    above, below = capsys.readouterr().out.split("\n\n")
    assert above.startswith("| rank |")
    assert below.splitlines()[2] == "| My net | 91.00 ± 12.71 | 2 | self-reported |"


def test_external_folder_of_an_unknown_protocol_is_named(tmp_path: Path, capsys) -> None:
    """A folder that no protocol of the catalogue has: one line, no trace of a crash."""
    hand_in(tmp_path, 0.9)
    (tmp_path / "digits_v1").rename(tmp_path / "mine_v1")
    assert sgbench("build", root=tmp_path) == 1
    assert "left out: " + str(tmp_path / "mine_v1" / "external") in capsys.readouterr().out


def test_block_from_outside_in_the_measures_unit() -> None:
    """A loss is no percentage: 0.03 and 0.05 are 0.04 +- 12.706 x 0.01; a failed check is said, as for methods."""
    failed = Verification.model_validate_json(
        json_of(
            {
                "schema_version": 1,
                "protocol": "toy_v1",
                "method_id": "a" * 12,
                "tier": "rescored",
                "passed": False,
            }
            | {"verifier": "someone", "seeds": [0], "claimed_accuracy": None, "verified_accuracy": None}
            | {
                "claimed_loss": 0.04,
                "verified_loss": 0.4,
                "agreement": None,
                "tolerance": None,
                "commit": None,
            }
            | {"statement": "no", "versions": {}, "created_utc": "2026-01-01T00:00:00Z"}
        )
    )
    scores = {0: 0.03, 1: 0.05}
    outsider = Outsider("a" * 12, summarise([*scores.values()]), scores, (), Dossier(None, (failed,), None))
    plain = make_board([record()], protocol=protocol(), targets={}, classes=CLASSES)
    found = replace(plain, outsiders=(outsider,), measure=Measure("loss", 0.5))
    head, line = outsider_cells(found)
    assert head[1] == "test loss"
    assert line == ["a" * 12, "0.04 ± 0.1271", "2", "failed: rescored"]


@pytest.mark.slow
def test_board_that_a_withdrawal_empties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The picture goes with the last row, one that lies there is a finding, and a line says why there is none."""
    found = record(of=compose_reference("digits_v1").method)
    write_board_record(tmp_path, found)
    picture = tmp_path / "digits_v1" / "board.png"
    assert sgbench("build", root=tmp_path) == 0
    drawn = picture.read_bytes()
    words = ["withdraw", found.method_id, "--protocol", "digits_v1", "--reason", "wrong data"]
    assert main(["board", *words, "--root", str(tmp_path)]) == 0
    assert sgbench("build", root=tmp_path) == 0
    assert not picture.exists()
    assert sgbench("check", root=tmp_path) == 0
    capsys.readouterr()
    assert sgbench("show", root=tmp_path) == 0
    assert "no method counts: 1 withdrawn, see table.md" in capsys.readouterr().out
    page = (tmp_path / "digits_v1" / "table.md").read_text()
    assert "No method counts: 1 withdrawn; see below." in page
    assert "| rank |" not in page
    picture.write_bytes(drawn)
    assert sgbench("check", root=tmp_path) == 1
    assert f"{picture}: shows a board without rows; rebuild with" in capsys.readouterr().out


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A copy of what the published board holds of its one submission."""
    folder = tmp_path / "boards" / "digits_v1"
    for name in ("records/e3367789b010", "objects", "submissions"):
        shutil.copytree(PUBLISHED / name, folder / name)
    return folder


def lost(folder: Path) -> list[str]:
    """Of which files the check complains, and the words after their names."""
    return [
        f"{Path(each.path).relative_to(folder)}: {each.reason.partition(';')[0]}"
        for each in lost_files(folder, read_dossiers(folder))
    ]


def test_every_file_of_a_submission_is_missed(published: Path) -> None:
    """Whatever is removed is named, one finding a file, and nothing else: 16 files were handed in."""
    assert lost(published) == []
    files = [*published.glob("records/*/*"), *published.glob("objects/*")]
    assert len(files) == 16
    for path in files:
        data = path.read_bytes()
        path.unlink()
        (said,) = lost(published)
        assert said.startswith(str(path.relative_to(published)))
        assert said.endswith("of submission e3367789b010 is not in the store")
        path.write_bytes(data)
    shutil.rmtree(published / "records")
    shutil.rmtree(published / "objects")
    assert len(lost(published)) == 16


def test_an_edited_record_is_not_what_was_handed_in(published: Path) -> None:
    """One accuracy raised, still a valid record: the hash in the submission tells."""
    path = next(published.glob("records/*/3.json"))
    path.write_text(path.read_text().replace('"accuracy": 0.9222', '"accuracy": 0.9722'))
    assert lost(published) == [
        f"{path.relative_to(published)}: records/3.json of submission e3367789b010 is not what was handed in"
    ]


def test_a_reference_stands_for_its_object(published: Path) -> None:
    """Weights that lie elsewhere are not lost."""
    path = next(published.glob("objects/*.safetensors"))
    path.rename(path.with_name(f"{path.name}.ref"))
    assert lost(published) == []


def test_check_says_what_is_lost_and_how_to_mend_it(published: Path, capsys) -> None:
    """The rebuilt table agrees with the records that are left; the lost one is found all the same."""
    next(published.glob("records/*/3.json")).unlink()
    root = published.parent
    assert sgbench("build", root=root) == 0
    capsys.readouterr()
    assert sgbench("check", root=root) == 1
    finding, summary = capsys.readouterr().out.splitlines()
    assert "records/3.json of submission e3367789b010 is not in the store; restore it from" in finding
    assert summary == "1 board checked (digits_v1), 1 finding"
    shutil.rmtree(published / "records")
    assert sgbench("check", root=root) == 1
    assert capsys.readouterr().out.count("is not in the store") == 5


@pytest.mark.slow
def test_advice_names_the_folder_it_is_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """`--root` where another folder than the default was given, and none where it was not."""
    write_board_record(tmp_path / "leaderboards", record(of=compose_reference("digits_v1").method))
    monkeypatch.chdir(tmp_path)
    for given, root in (
        ([], "leaderboards"),
        (["--root", f"{tmp_path}/leaderboards"], f"{tmp_path}/leaderboards"),
    ):
        assert main(["board", "check", *given]) == 1
        lines = capsys.readouterr().out.splitlines()[:-1]
        assert len(lines) == 3
        assert all(line.endswith(rebuild(Path(root))) for line in lines)
        assert all(("--root" in line) is bool(given) for line in lines)


def test_missing_folder_says_how_it_is_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """Boards are filled by hand-ins, runs by running: each is told its own."""
    monkeypatch.chdir(tmp_path)
    assert main(["board", "check"]) == 2
    boards = capsys.readouterr().err
    assert "start in the checkout, or name one with --root, or fill it with 'sgbench board add'" in boards
    assert main(["board", "show", "--from", "runs", "--root", "none"]) == 2
    runs = capsys.readouterr().err
    assert "sgbench run" in runs
    assert "board add" not in runs
    (tmp_path / "leaderboards").mkdir()
    assert main(["board", "build", "--from", "leaderboards"]) == 2
    assert "no record found; add some with 'sgbench board add'" in capsys.readouterr().err


ALWAYS: Prices = {
    "accumulate": (1, 1, 1),
    "multiply_accumulate": (100, 90, 110),
    "neuron_update": (2, 1, 4),
}
NEVER: Prices = {"accumulate": (1, 1, 1), "multiply_accumulate": (3, 3, 3), "neuron_update": (300, 200, 400)}
TORN: Prices = {"accumulate": (1, 1, 1), "multiply_accumulate": (40, 3, 100), "neuron_update": (2, 2, 300)}


def words_of(found: Board) -> tuple[str, str, str]:
    """What the page, the terminal and the sentences say of atan's crossover."""
    page = to_markdown(found, layout="runs").split("## Beside networks without spikes")[1].split("## ")[0]
    (line,) = [line for line in page.splitlines() if "`atan(width_fwhm=1)`" in line]
    out = io.StringIO()
    add_energy(Console(file=out, width=200), found, spacious=True)
    (shown,) = [line for line in out.getvalue().splitlines() if line.startswith("atan")]
    sentences = " ".join(explain(found, found.rows[0], found.rows[1], hits={}).sentences)
    return [cell.strip() for cell in line.split("|")][5], shown.split()[3], sentences


def test_crossovers_that_no_share_decides() -> None:
    """By hand, 2000 connections of which 27.5 a step are used, 14 units: E(0) = 140 u, ANN 2000 m + 14 u.

    m = 100, u = 2: (200028 - 280) / 550 x 2.75 % = 999 %, at both ends above 100. m = 3, u = 300: 10200 less than
    42000 pJ, at both ends. m = 40, u = 2: (80028 - 280) / 550 x 2.75 % = 399 %; low prices (6028 - 280) / 550 x
    2.75 % = 28.7 %, high ones 204200 - 42000: 811 %.
    """
    page, shown, sentences = words_of(board(chip("wide", ALWAYS)))
    assert (page, shown) == ("always", "always")
    assert "would need as much at no share (always more) on wide." in sentences
    page, shown, sentences = words_of(board(chip("wide", NEVER)))
    assert (page, shown) == ("never", "never")
    assert "would need as much at no share (always less) on wide." in sentences
    page, shown, _ = words_of(board(chip("wide", TORN)))
    assert (page, shown) == ("always (28.7 to always)", "28.7-always")


def family(name: str, *expected: float) -> Tuned:
    """A family with these expected scores of the best of 1, 2, ... settings, without a band."""
    return Tuned(name, len(expected), 0.0, expected[-1], expected[-1], None, 0, expected, expected, expected)


ACCURACY = Measure("accuracy", 0.1)


def tuned_figure(*found: Tuned) -> Figure:
    """The picture of families."""
    return tuning_figure(tuning_curves(found, ACCURACY), what=ACCURACY.title)


def test_a_single_setting_is_drawn() -> None:
    """Its marker is in the picture, left of the legend; without the family none of its colour is."""

    def coloured(*found: Tuned) -> int:
        pixels = image.imread(io.BytesIO(style.encode(lambda: tuned_figure(*found), ".png")))
        left = pixels[:, : int(0.8 * pixels.shape[1]), :3]
        return int((np.abs(left - to_rgb(COLOURS[1])).max(axis=2) < 0.01).sum())

    assert coloured(family("atan", 0.8, 0.9), family("triangle", 0.85)) > 50
    assert coloured(family("atan", 0.8, 0.9)) == 0


@pytest.mark.parametrize("most", [2, 3, 5, 30])
def test_numbers_of_settings_are_whole(most: int) -> None:
    """Nobody tries one and a half, or none."""
    figure = tuned_figure(family("atan", *np.linspace(0.5, 0.9, most)))
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert len(ticks) >= 2
    assert all(tick == int(tick) >= 1 for tick in ticks)


@pytest.mark.slow
def test_no_curve_of_one_setting_each(runs_dir: Path, tmp_path: Path, capsys) -> None:
    """One line that says what to run, no file; the table alone needs no second setting."""
    write_run(runs_dir, record(of=compose_reference("digits_v1").method))
    assert main(["board", "tuning", "--plot", str(tmp_path / "t.png")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "no method has two settings here" in said.err
    assert "sgbench run -m" in said.err
    assert not (tmp_path / "t.png").exists()
    assert main(["board", "tuning"]) == 0
    assert "settings here" in capsys.readouterr().out


def test_profile_falls_at_scores_and_the_difference_has_no_methods_colour() -> None:
    """By hand: runs at 0.2 and 0.8 are all above less than 0.2, half of them up to 0.8, none beyond."""
    tasks = [np.array([0.2, 0.8])] * 2
    standings = tuple(
        FamilyStanding(name, 0.5, 0.4, 0.6, tasks, 1.5, (1, 1)) for name in ("atan", "triangle")
    )
    ranks = RankTest((1.5, 1.5), 0.0, 0.0, 1.0, 1.39)
    across = AcrossTasks(("a_v1", "b_v1"), standings, (), ranks)
    figure = across_figure(profiles(across), mean_ranks(across))
    figure.draw_without_rendering()
    above, below = figure.axes
    line = above.lines[0]
    assert line.get_drawstyle() == "steps-post"
    at, shares = line.get_data()
    assert np.allclose(at, [0.18, 0.2, 0.8, 1.0])
    assert np.allclose(shares, [100, 50, 0, 0])
    used = {to_rgb(each.get_color()) for each in (*below.lines, *below.texts)}
    assert not used & {to_rgb(colour) for colour in COLOURS}
    assert any("critical difference 1.39" in text.get_text() for text in below.texts)
