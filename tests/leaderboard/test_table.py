"""Tables: a golden page, figures by hand, the same bytes in any order, and inert text."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from sgbench.energy.price import load_targets
from sgbench.leaderboard.costs import NOT_RUN
from sgbench.leaderboard.differing_settings import call, names_apart, parameter_text, varying_parameters
from sgbench.leaderboard.pages.picture import digest, picture_of, png, stale
from sgbench.leaderboard.pages.table import to_csv, to_json, to_markdown
from sgbench.leaderboard.rows import Board
from sgbench.records.counts import Count
from sgbench.records.energy import EnergyTarget
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord
from sgbench.tables import inert
from sgbench.tables.text import folded_cell
from tests.documents import ROOT
from tests.leaderboard.factory import CLASSES, make_board, method, network_counts, protocol, record, target
from tests.leaderboard.gallery import GOLDEN_TABLE, gallery, golden_table
from tests.messages import lines_naming

BOARDS = ROOT / "leaderboards"


def board(records: list[RunRecord], targets: dict[str, EnergyTarget] | None = None) -> Board:
    """The toy board priced with the toy target."""
    return make_board(records, protocol=protocol(), targets=targets or {"toy": target()}, classes=CLASSES)


def page(records: list[RunRecord], **changes: Any) -> str:
    """The toy board as a page."""
    return to_markdown(board(records, **changes), layout="runs")


def cells(records: list[RunRecord]) -> list[dict[str, str]]:
    """The rows of the toy board's values."""
    return list(csv.DictReader(io.StringIO(to_csv(board(records)))))


def test_golden_page() -> None:
    """Golden: the gallery's page, read and checked by eye; rewrite with make golden."""
    assert golden_table() == GOLDEN_TABLE.read_text(encoding="utf-8")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("seed", range(5))
def test_order_of_records_changes_no_byte(seed: int) -> None:
    """Property: files are found in any order, the table is one."""
    shuffled = gallery()
    random.Random(seed).shuffle(shuffled)  # noqa: S311 - no secret
    targets = load_targets()
    first, second = (
        make_board(records, protocol=protocol(), targets=targets, classes=CLASSES) for records in (gallery(), shuffled)
    )
    assert to_markdown(first, layout="runs") == to_markdown(second, layout="runs")
    assert to_csv(first) == to_csv(second)


def test_figures_by_hand() -> None:
    """By hand: mean of 0.90, 0.92, 0.94; t(2) = 4.30265, s = 0.02; 2, 3 and 4 s.

    15 spikes of 10 synapses each after 400 events are 550 pJ, 40 + 100 updates 280 (140 to 560) pJ.
    """
    (row,) = cells([record(seed=seed, accuracy=0.90 + 0.02 * seed) for seed in range(3)])
    half = 4.30265273 * 0.02 / 3**0.5
    assert float(row["test_accuracy_mean"]) == pytest.approx(0.92)
    assert float(row["test_accuracy_low"]) == pytest.approx(0.92 - half)
    # On the logit, by the delta method: half the width over m (1 - m).
    logit = math.log(0.92 / 0.08) - half / (0.92 * 0.08)
    assert float(row["test_accuracy_interval_low"]) == pytest.approx(1 / (1 + math.exp(-logit)))
    assert float(row["test_accuracy_interval_high"]) < 1
    assert float(row["test_accuracy_high"]) == pytest.approx(0.92 + half)
    assert [row[f"test_accuracy_seed_{seed}"] for seed in range(3)] == ["0.9", "0.92", "0.94"]
    assert (row["spikes_per_inference"], row["synaptic_operations_per_inference"]) == ("15", "550")
    energies = [float(row[f"toy_dynamic_{end}_nj"]) for end in ("value", "low", "high")]
    assert energies == pytest.approx([0.83, 0.69, 1.11])
    assert (row["rank_low"], row["rank_high"], row["alike"]) == ("1", "1", "")
    assert (row["seeds"], row["failed_seeds"]) == ("3", "")
    assert (row["parameters"], row["training_time_s"], row["surrogate"]) == ("296", "3", "atan(width_fwhm=1)")


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in BOARDS.glob("*/table.csv")), ids=lambda path: path.name
)
def test_intervals_of_committed_boards_are_the_pages_own(folder: Path) -> None:
    """Must match: ends of intervals in `table.csv` and on the page, rounded as there; a share ends at 0 and 100 %."""
    rows = list(csv.DictReader(io.StringIO((folder / "table.csv").read_text(encoding="utf-8"))))
    by_loss = any("test_loss_mean" in row for row in rows)
    name, factor = ("test_loss", 1) if by_loss else ("test_accuracy", 100)
    shown = page_scores((folder / "table.md").read_text(encoding="utf-8"))
    assert len(shown) == len(rows)
    for row, (_, *ends) in zip(rows, shown, strict=True):
        stored = [row[f"{name}_interval_{end}"] for end in ("low", "high")]
        assert len(ends) == sum(bool(end) for end in stored)
        for text, value in zip(ends, stored, strict=False):
            digits = len(text.partition(".")[2])
            assert abs(float(text) - factor * float(value)) <= 0.5000001 * 10**-digits
            assert by_loss or 0 <= float(value) <= 1


def page_scores(page: str) -> list[list[str]]:
    """The numbers of the score column of each row of a page: mean, and the ends of its interval if it has one."""
    found, at = [], None
    for line in page.splitlines():
        row = [cell.strip() for cell in line.split(" | ")]
        if any("(mean, 95 % CI)" in cell for cell in row):
            at = next(place for place, cell in enumerate(row) if "(mean, 95 % CI)" in cell)
        elif not line.startswith("|"):
            at = None
        elif at is not None and not row[at].startswith(("--", ":-")):
            found.append(re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", re.sub(r"\[[\d, ]+\]", "", row[at])))
    return found


def test_json_has_the_numbers_of_the_csv() -> None:
    """Must match: each cell of the gallery, perfect scores and single seeds among them."""
    records = [*gallery(), *(record(seed=seed, accuracy=1.0) for seed in range(3))]
    made = make_board(records, protocol=protocol(), targets=load_targets(), classes=CLASSES)
    rows = json.loads(to_json(made))
    for row, line in zip(rows, csv.DictReader(io.StringIO(to_csv(made))), strict=True):
        assert {
            key: "" if value is None else value if isinstance(value, str) else float(value)
            for key, value in row.items()
        } == {key: float(text) if isinstance(row[key], float | int) else text for key, text in line.items()}
        assert (row["test_accuracy_interval_high"] or 0) <= 1


def test_costs_are_means_over_finished_seeds() -> None:
    """By hand: seeds with 400 and 600 events and 150 more, and a failed one, give 650."""
    more = network_counts(events=60_000)
    (row,) = cells([record(), record(seed=1, found=more), record(seed=2, accuracy=None)])
    assert row["synaptic_operations_per_inference"] == "650"
    assert row["failed_seeds"] == "2"
    assert row["test_accuracy_seed_2"] == "0.1"


def test_method_of_failed_seeds_alone() -> None:
    """It stands at chance, visibly, and every cost says why there is none."""
    records = [record(seed=seed, accuracy=None) for seed in range(2)]
    assert cells(records)[0]["test_accuracy_mean"] == "0.1"
    text = page(records)
    assert "| 2 of 3 (2 failed) |" in text
    assert NOT_RUN in text


@pytest.mark.parametrize("classes", [2, 10**9, None])
def test_chance_cannot_be_moved_by_a_record(classes: int | None) -> None:
    """A failed record may claim any number of classes; chance is that of the data set."""
    failed = record(seed=1, accuracy=None).model_copy(update={"classes": classes})
    assert cells([record(), failed])[0]["test_accuracy_seed_1"] == "0.1"


def test_missing_parameter_reads_as_its_neutral_value() -> None:
    """An older record without a key does not differ from one with the key's neutral value."""
    older, newer = method(), method(parameters={"surrogate": {"width_fwhm": None}})
    del older.parameters["surrogate"]["width_fwhm"]
    assert method_id(older) == method_id(newer)
    assert "surrogate" not in varying_parameters([older, newer])


def test_a_method_has_one_name() -> None:
    """By hand: names are those of the board's rows; methods of one name, here of two protocols, add their ids."""
    methods = [method(), method(surrogate="triangle"), method(choices={"rule": "eprop"})]
    names = names_apart({method_id(one): one for one in methods})
    assert [*names.values()] == [
        "atan(width_fwhm=1), plain",
        "triangle(width_fwhm=1), plain",
        "atan(width_fwhm=1), eprop",
    ]
    records = [record(of=one) for one in methods]
    rows = make_board(records, protocol=protocol(), targets={}, classes=CLASSES).rows
    assert {row.method_id: row.label for row in rows} == names
    twins = [method(), method(protocol_changes={"epochs": 21})]
    assert names_apart({method_id(one): one for one in twins}) == {
        method_id(one): f"atan(width_fwhm=1) {method_id(one)[:6]}" for one in twins
    }


def test_missing_total_says_why() -> None:
    """An uncounted number is a dash with a note, and an empty cell beside its reason in the values."""
    unknown = Count(reason="this layer has no counter")
    records = [record(found=network_counts(spikes_sent=unknown, neuron_updates=unknown))]
    text = page(records)
    assert f"`hidden0: {unknown.reason}`" in text
    missing = "neuron_update: no count in hidden0 (this layer has no counter)"
    assert f"no total: `{missing}`" in text
    (row,) = cells(records)
    assert row["spikes_per_inference"] == row["toy_dynamic_value_nj"] == ""
    assert row["toy_no_total_because"].endswith("; " + missing)


def test_partial_prices_are_flagged() -> None:
    """Every shipped target leaves something out and says so below the table."""
    text = page(gallery(), targets=load_targets())
    for name in ("horowitz_45nm", "loihi1", "truenorth"):
        assert lines_naming(text, name, "not a whole")
    assert lines_naming(text, "loihi1", "secondary", "accumulate", "neuron_update", "spike_sent", "static power")


def test_what_varies_is_a_column_and_the_rest_one_sentence() -> None:
    """By hand: recurrence and clipping differ, the learning rate does not."""
    recurrent = method(parameters={"network": {"recurrence": "all_to_all"}}, clip_norm=1.0)
    text = page([record(), record(of=recurrent)])
    head = next(line for line in text.splitlines() if line.startswith("| rank"))
    assert head.split(" | ")[2:5] == ["surrogate", "network", "clip_norm"]
    rows = [line.split(" | ")[3:5] for line in text.splitlines()]
    assert ["`mlp(recurrence=all_to_all)`", "`1`"] in rows
    assert "network `mlp(hidden=[4])`" in text
    assert "optimizer `adam(lr=0.002)`" in text


NASTY = "|<img src=x onerror=alert(1)>`](http://x)\n\n# owned\n| a | b |\x1b[31m\u202e"


def test_text_of_a_record_is_inert() -> None:
    """Injection: pipes, tags, backticks, line ends, control and direction marks of a record reach no page."""
    nasty = method(parameters={"surrogate": {"note": NASTY}})
    hole = Count(reason=NASTY)
    records = [record(of=nasty, found=network_counts(spikes_sent=hole, neuron_updates=hole)), record()]
    text = page(records)
    assert all(found not in text for found in ("<img", "\x1b", "\u202e", "\n# owned", "|<", "`]("))
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    assert [len(lines) for lines in tables] == [4, 4]
    assert all(len({line.count("|") for line in lines}) == 1 for lines in tables)
    assert all(line.count("`") % 2 == 0 for line in text.splitlines())
    assert "=" not in {row["surrogate"][0] for row in cells(records)}


def test_labels() -> None:
    """By hand: quoted where not a plain word, cut where long."""
    assert parameter_text("=HYPERLINK(1)") == '"=HYPERLINK(1)"'
    assert inert("µ\t\x00") == "\\xb5 \\x00"
    assert len(call("atan", {"note": "x" * 1000})) == 120
    formula = call("formula", {"a": 25, "formula": "0.5*exp(-(a*u)**2)+0.5/(1+(a*u)**2)"})
    assert " ".join(folded_cell(formula, 55)) == formula  # a screen breaks at a space, and adds none
    assert "".join(folded_cell(formula, 30)) == formula.replace(", ", ",")


@pytest.mark.one_in(4)
@pytest.mark.parametrize("alone", [False, True])
def test_picture_names_its_table_and_is_reproducible(alone: bool) -> None:
    """The same table gives the same bytes, which carry its digest; another table is told apart."""
    found = board([record()] if alone else gallery())
    values = to_csv(found)
    drawn = png(picture_of(found), table_csv=values)
    assert drawn == png(picture_of(found), table_csv=values)
    assert digest(values).encode() in drawn


def test_picture_of_hostile_labels_and_failed_methods(tmp_path) -> None:
    """A label that looks like a formula is drawn as text; a method without any number is drawn as such."""
    odd = method(parameters={"surrogate": {"note": r"$\frac{$"}})
    found = board([record(of=odd, accuracy=None), record(accuracy=1.0)])
    path = tmp_path / "board.png"
    path.write_bytes(png(picture_of(found), table_csv="a"))
    assert stale(path, table_csv="a") is None
    assert stale(path, table_csv="b") == "drawn from another table"


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xfftEXtDescr", b"GIF89a"])
def test_damaged_picture_is_stale(tmp_path, data: bytes) -> None:
    """No digest can be read, and nothing is raised."""
    (tmp_path / "board.png").write_bytes(data)
    assert stale(tmp_path / "board.png", table_csv="a") == "drawn from another table"
