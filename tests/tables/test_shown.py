"""What public functions return is a screen in Python, escaped HTML in a notebook, and where it can be, a picture.

A screen is 80 columns and 24 lines, of which one is the prompt's.
"""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

import sgbench
from sgbench.plots.style import Drawn, PictureFile
from sgbench.records.files import read_model
from sgbench.records.record import RunRecord
from sgbench.statistics.rank_places import RankPlace
from sgbench.tables.shown import ShownTable, ShownText
from sgbench.tables.table import plain_table
from sgbench.yours.own_training import OwnRow, OwnTable
from tests.rooms import ROOT

HOSTILE = '<script>alert("&")</script>\x1b[2J'
PNG = b"\x89PNG"


class Net(nn.Module):
    """A recurrent layer and a readout, as an author writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.hidden = nn.Linear(8, 16), snn.RLeaky(beta=0.9, linear_features=16)
        self.out = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        spikes, potential = self.hidden.reset_mem()
        total = torch.zeros(3)
        for now in x:
            spikes, potential = self.hidden(self.into(now), spikes, potential)
            total = total + self.out(spikes)
        return total


def own_table(name: str = "atan") -> OwnTable:
    """Three seeds of two surrogates, the second of which failed once."""
    rank = RankPlace(1, 2, "a")
    scores = {0: 0.91, 1: 0.93, 2: 0.9}
    first = OwnRow(name, scores, scores, 0.5, {0: 3, 1: 4, 2: 4}, {}, (), rank)
    worse = {0: 0.8, 1: 0.5, 2: 0.82}
    return OwnTable([first, OwnRow("zero", worse, worse, None, {0: 1, 2: 1}, {1: "NaN"}, (), rank)], guess=0.5)


def record() -> RunRecord:
    """A run of a committed board."""
    return read_model(ROOT / "leaderboards" / "digits_v1" / "records" / "a04bca376b8a" / "0.json", RunRecord)


def results() -> dict[str, Any]:
    """One result of each public function that returns more than a number, trained networks left out."""
    torch.manual_seed(0)
    net, x, y = Net(), torch.rand(20, 4, 8).round(), torch.tensor([0, 1, 2, 0])

    def loss(network: nn.Module, batch: Any) -> torch.Tensor:
        return nn.functional.cross_entropy(network(batch[0]), batch[1])

    return {
        "board": sgbench.board("digits_v1", layout="registry"),
        "calibrate": sgbench.calibrate(network=net, batch=x),
        "compare_in": own_table(),
        "diagnose_module": sgbench.diagnose_module(net, (x, y), loss),
        "energy_of": sgbench.energy_of(net, x, input_kind="binary", dt_s=0.001),
        "explain": sgbench.explain("atan", "zero", protocol="digits_v1", layout="registry"),
        "list": sgbench.list("surrogate"),
        "recommend": sgbench.recommend(network=net, batch=x),
        "recommend, budget": sgbench.recommend(target="loihi1", max_nj=50),
        "show": sgbench.show("surrogate/atan"),
        "use": sgbench.use(net, surrogate="atan", width_fwhm=0.5),
    }


DRAWN = {"board", "compare_in", "diagnose_module", "energy_of", "recommend, budget", "show"}


class Text(HTMLParser):
    """Collects tags and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def fits(text: str) -> bool:
    """Whether a text is less than a screen."""
    lines = text.split("\n")
    return len(lines) < 24 and max(map(len, lines)) <= 80


def test_every_result_is_a_screen_a_table_and_where_it_can_be_a_picture(tmp_path: Path) -> None:
    """Must match: numbers of the text are in the HTML. Must differ: what has no picture has no plot."""
    for name, shown in results().items():
        assert fits(repr(shown)), name
        assert isinstance(shown, ShownTable), name
        html = Text(shown._repr_html_())
        assert {"table", "th", "td"} <= html.tags, name
        assert all(cell.text in html.text for row in shown.table().rows for cell in row), name
        assert isinstance(shown, Drawn) == (name in DRAWN) == hasattr(shown, "plot"), name
    folder = tmp_path / "bars.svg"
    drawn = own_table()
    path = drawn.plot(folder)
    assert isinstance(path, PictureFile)
    assert "<svg" in path._repr_svg_()  # type: ignore[operator]
    figure = sgbench.plot(drawn)
    assert figure._repr_png_().startswith(PNG)
    with pytest.raises(sgbench.InputError, match="Used has no picture"):
        sgbench.plot(results()["use"])
    with pytest.raises(sgbench.InputError, match=r"\.gif"):
        drawn.plot(tmp_path / "bars.gif")


def test_a_record_is_less_than_a_screen() -> None:
    """Its model printed 15,000 letters in one line."""
    run = record()
    assert fits(repr(run))
    assert run.method_id in repr(run)
    assert f"{run.seed}" in repr(run)
    assert run.method_id in Text(run._repr_html_()).text


def test_a_hostile_name_stays_text() -> None:
    """Must match: the name, escaped. Must differ: no tag of it, and no control character in a terminal."""
    table = own_table(HOSTILE)
    html = table._repr_html_()
    assert Text(html).tags <= {"table", "thead", "tbody", "tr", "th", "td", "p", "sup", "code"}
    assert "<script>alert" in Text(html).text
    assert "\x1b" not in repr(table) + str(table)
    assert "script" in repr(table)
    assert Text(ShownText(f"hidden: {HOSTILE}")._repr_html_()).tags == {"pre"}


@pytest.mark.parametrize(("rows", "is_cut"), [(5, False), (300, True)])
def test_long_tables_say_what_is_left_out(rows: int, is_cut: bool) -> None:
    """By hand: 22 rows of 300 below a head fit a screen, and a notebook shows 200; five are whole in both."""

    class Many(ShownTable):
        def table(self) -> Any:
            cells = [(f"row{place}", *map(str, np.arange(40))) for place in range(rows)]
            return plain_table("many", [("name", *(f"number {place}" for place in range(40))), *cells], text_columns=1)

    assert fits(repr(Many()))
    assert ("more; print() shows all" in repr(Many())) == is_cut
    assert "number 6\n" in repr(Many())
    assert ("(number 7, " in repr(Many())) == (not is_cut)
    assert str(Many()).count("\n") == rows
    assert f"row{rows - 1}" in str(Many())
    assert Many()._repr_html_().count("<tr>") == min(rows, 200) + 1
    assert ("100 more rows" in Many()._repr_html_()) == is_cut


def test_how_parts_run_reads_as_lines() -> None:
    """`runs_on` used to show as one quoted line with backslashes."""
    fast = sgbench.accelerate(Net(), torch.rand(20, 4, 8).round())
    assert repr(fast.runs_on) == "hidden: fused engine, all 20 steps at once"
    assert fast.runs_on.splitlines() == fast.lines
    html = Text(fast._repr_html_()).text
    assert "hidden" in html
    assert "fused engine, all 20 steps at once" in html
    assert "(into): Linear" in repr(fast) == str(fast)
