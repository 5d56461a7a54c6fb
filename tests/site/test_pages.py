"""What pages say of boards; expected values are worked out by hand from the records that each test makes."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
import shlex
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest
from PIL import Image
from scipy.stats import t

from registry.site.across import compare_surrogates
from registry.site.answer import answer_of, listed
from registry.site.method_tables import curve_charts
from registry.site.pages import MAP, site_files, study_charts
from registry.site.pictures import size_in
from registry.site.protocol_charts import _charts
from registry.site.protocols import protocol_files
from registry.site.render import DOCS_SECTIONS
from registry.site.reproductions import reproductions_of
from registry.site.sources import SiteExtras, read_sources
from registry.site.texts import text_pages
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.families import AcrossTasks
from sgbench.leaderboard.pages.explain import explain_rows
from sgbench.leaderboard.pages.sections import evidence, statements
from sgbench.leaderboard.pages.table import to_csv
from sgbench.plots.layout import laid_out
from sgbench.recommendation.advice import advise
from sgbench.recommendation.answer import MeasuredNetwork, read_answer
from sgbench.records.content import EpochScores, Failure
from sgbench.records.record import RunRecord
from sgbench.reproduction.definition import Reproduction
from sgbench.reproduction.runs import ReproductionResult
from sgbench.reproduction.verdict import Judged
from sgbench.statistics.intervals import summarise
from sgbench.tables.table import Cell, Table, as_csv, as_json, numbers
from sgbench.tables.table import texts as columns
from study.reporting.pages.regime_map import CAPTION as MAP_CAPTION
from tests.leaderboard.factory import method, record
from tests.messages import lines_naming
from tests.rooms import ROOT
from tests.site.boards import COMMIT, documents, html, sources_of, texts
from tests.site.documents import Document

SCRIPTS = {"site.js", "charts.js", "compare.js", "search.js", "searched.js"}
SCRIPT = "<script>alert(1)</script>"


def reproduced(name: str, *figures: tuple[str, float, str], revised: tuple[str | None, ...] = ()) -> ReproductionResult:
    """A result made up by hand: (line, ours, verdict) of figures whose published number is 1."""
    one = Reproduction.model_validate(
        {
            "name": name,
            "line": f"Line {name}.",
            "sources": ["A source"],
            "reason": "it differs",
            "seeds": [0],
            "conditions": {"c": []},
            "figures": [
                {"line": line, "of": ["c"], "published": 1.0, "tolerance": 0.5, "evidence": "e", "revised": changed}
                for (line, _, _), changed in zip(figures, revised or (None,) * len(figures), strict=True)
            ],
        }
    )
    judged = tuple(
        Judged(figure, ours, None, 1, verdict, None)
        for figure, (_, ours, verdict) in zip(one.figures, figures, strict=True)
    )
    return ReproductionResult(one, judged, 1, None)


def two_methods() -> list:
    """Three seeds of two surrogates: means 0.9 and 0.5, of which the second is a control."""
    return [
        record(seed=seed, accuracy=accuracy + (seed - 1) * step, of=method(surrogate=name))
        for name, accuracy, step in (("atan", 0.9, 0.02), ("zero", 0.5, -0.01))
        for seed in (0, 1, 2)
    ]


def test_a_board_and_its_methods(tmp_path: Path) -> None:
    """By hand: 90.00 before 50.00, ranks 1 and 2; the tables beside the page have the board's own cells."""
    sources = sources_of(tmp_path / "boards", two_methods())
    found = texts(sources)
    page = Document(found["protocols/toy_v1.html"])
    assert page.text.index("90.00") < page.text.index("50.00")
    (board,) = sources.boards
    first, second = board.rows
    assert [first.rank.low, second.rank.low] == [1, 2]
    assert f"../methods/toy_v1/{first.method_id}.html" in page.values("a", "href")
    assert found["protocols/toy_v1.csv"] == to_csv(board, digits=9)
    typed = json.loads(found["protocols/toy_v1.json"])
    cells = [*csv.DictReader(io.StringIO(to_csv(board, digits=9)))]
    assert [[*row] for row in typed] == [[*row] for row in cells]
    assert [row["test_accuracy_mean"] for row in typed] == [0.9, 0.5]
    assert typed[0]["method_id"] == first.method_id
    assert [(row["rank_low"], row["rank_high"], row["seeds"]) for row in typed] == [
        (each.rank.low, each.rank.high, len(each.scores)) for each in board.rows
    ]
    assert typed[0]["tuning_trials"] is None
    own = Document(found[f"methods/toy_v1/{first.method_id}.html"])
    assert f"boards/toy_v1/records/{first.method_id}/0.json" in own.text
    assert str(tmp_path) not in own.text
    assert "88.00" in own.text
    assert "92.00" in own.text
    assert "sgbench run -m protocol=toy_v1 seed=0,1,2" in own.text
    other = Document(found[f"methods/toy_v1/{second.method_id}.html"])
    assert "sgbench run -m protocol=toy_v1 surrogate=zero surrogate.alpha=null" in other.text
    rows = json.loads(found[f"methods/toy_v1/{first.method_id}.json"])
    assert [row["test_accuracy"] for row in rows] == [0.88, 0.9, 0.92]
    # Every page names the commit of the records, and none the time of its build.
    assert all(COMMIT in text for path, text in found.items() if path.endswith(".html"))


def test_what_holds_on_every_board_stands_once(tmp_path: Path) -> None:
    """Expected: what all boards share, and prices, each on one page with a link; a board has what is its own."""
    sources = sources_of(tmp_path / "boards", two_methods())
    pages = documents(sources)
    (board,) = sources.boards
    own = pages[f"protocols/{board.protocol.name}.html"]
    for every, here in statements(board):
        assert every in pages["methodology.html"].text
        assert not every or every not in own.text
        assert here.partition("`")[0] in own.text
    for sentence in (text for target in board.targets for text in evidence(target)):
        assert sentence in pages["energy.html"].text
        assert sentence not in own.text
    assert {"../methodology.html#boards", "../energy.html#prices"} <= {*own.values("a", "href")}


def test_values_that_were_tried_have_their_numbers_at_the_axis(tmp_path: Path) -> None:
    """By hand: 4 too, which is no round number of a logarithmic axis; of more than six values round ones."""
    (board,) = sources_of(tmp_path / "boards", two_methods()).boards
    for values, expected in (((0.5, 1.0, 4.0), ["0.5", "1", "4"]), ((1, 2, 3, 4, 5, 6, 7), ["1", "2", "5"])):
        points = [(float(value), 90.0 + value) for value in values]
        (drawing,) = _charts({"atan": {"surrogate.width_fwhm": points}}, board, "of it")
        assert [tick.text for tick in drawing.panels[0].x_ticks] == expected


def test_the_answer_and_its_doubts(tmp_path: Path) -> None:
    """By hand: one task has no mean ranks; the first is no control, so no doubt says that one leads."""
    sources = sources_of(tmp_path / "boards", two_methods())
    pages = documents(sources)
    text = pages["index.html"].text
    assert "atan leads" in text
    assert "atan has the highest" in text
    found = answer_of(sources, "one task")
    (pair,), (control,) = found.seconds, found.controls
    assert pair.difference.text.startswith("40.00 (")
    assert pair.is_decided
    assert pair.share.value == pytest.approx(100 * 0.4 / (1 - sources.boards[0].measure.guess))
    assert control == pair
    (board,) = sources.boards
    empty = replace(board, protocol=board.protocol.model_copy(update={"name": "empty_v1"}), rows=())
    beside_empty = replace(sources, boards=(empty, board))
    assert answer_of(beside_empty, "one task") == found, "a board without rows says nothing"
    assert "40.00 (" in pages["across.html"].text
    assert f"toy_v1: {pair.a.text} minus {pair.b.text} {pair.share.value:.4g} (" in text
    assert "A control has the" not in text + pages["across.html"].text
    reverse = [each.model_copy(update={"method": each.method}) for each in two_methods()]
    swapped = [record(seed=each.seed, accuracy=1.4 - each.test.accuracy, of=each.method) for each in reverse]
    found = answer_of(sources_of(tmp_path / "other", swapped), "no task")
    assert lines_naming(found.doubts[0], "A control has the", "toy_v1")
    assert "cannot say" in found.headline


def test_nobody_wins_a_race_of_one(tmp_path: Path) -> None:
    """Must differ: a surrogate without another one is named by no headline; must match: of two, one leads."""
    alone = [each for each in two_methods() if each.method.choices["surrogate"] == "atan"]
    assert alone
    sources = sources_of(tmp_path / "boards", alone)
    found = compare_surrogates(sources)
    assert found == "atan alone is on every task"
    answer = answer_of(sources, found)
    assert answer.headline == "The boards cannot say yet."
    pages = documents(sources)
    assert "highest interquartile" not in pages["index.html"].text + pages["across.html"].text
    assert isinstance(compare_surrogates(sources_of(tmp_path / "two", two_methods())), AcrossTasks)


@pytest.mark.slow
def test_the_committed_boards_are_a_race() -> None:
    """Of the boards of this checkout: several surrogates; a board of recipes is left out."""
    found = compare_surrogates(read_sources(ROOT / "leaderboards", references=References(), commit=COMMIT))
    assert isinstance(found, AcrossTasks)
    assert len(found.families) >= 4
    assert "spoken_twin_v1" in found.mixed


def test_what_was_revised_is_said_beside_what_agrees() -> None:
    """By hand: of three that agree, conditions of one and the bound of one."""
    verdicts = ("agrees", "agrees", "agrees", "does not agree")
    figures = [(str(place), 1.0, verdict) for place, verdict in enumerate(verdicts)]
    found = reproductions_of([reproduced("a", *figures, revised=("conditions", "bound", None, "conditions"))])
    assert "4 of 4 figures compare with a number that somebody published, and 3 of these agree." in found.summary
    assert found.summary.endswith(
        "Of all figures 3 agree. Of those, conditions of 1 and bound of 1 were changed or set once values were known."
    )


def test_sizes_of_pictures(tmp_path: Path) -> None:
    """By Pillow's picture of 30 by 20; by hand, 72 points of a drawing are 96 of a page; nothing of others."""
    Image.new("RGB", (30, 20)).save(tmp_path / "made.png")
    assert size_in((tmp_path / "made.png").read_bytes()) == (30, 20)
    assert size_in(b'<svg xmlns="x" width="72pt" height="36pt" viewBox="0 0 72 36">') == (96, 48)
    assert size_in(b"") is None
    assert size_in((tmp_path / "made.png").read_bytes()[:20]) is None


def test_every_text_of_a_stranger_is_inert(tmp_path: Path) -> None:
    """Markup in free texts of a record stands on the page as words, and opens no tag."""
    made = record(seed=0, accuracy=None, of=method())
    provenance = made.provenance.model_copy(
        update={"device": f"cpu {SCRIPT}", "processor": "<img src=x onerror=alert(1)>", "versions": {"torch": "2<b>"}}
    )
    lie = made.model_copy(
        update={"failure": Failure(kind="NonFiniteError", message=f"\u202e{SCRIPT}"), "provenance": provenance}
    )
    good = record(seed=1, accuracy=0.9, of=method())
    sources = sources_of(tmp_path / "boards", [lie, good])
    pages = documents(sources)
    page = pages[f"methods/toy_v1/{lie.method_id}.html"]
    assert "alert(1)" in page.text
    for each in pages.values():
        scripts = [found for tag, found in each.tags if tag == "script"]
        assert scripts[0] == {"src": scripts[0]["src"], "defer": None, "blocking": "render"}
        assert all(found.keys() - {"blocking"} == {"src", "defer"} for found in scripts)
        assert {posixpath.basename(str(found["src"])) for found in scripts} <= SCRIPTS
        assert "x" not in each.values("img", "src")
        assert not [name for _, found in each.tags for name in found if name.startswith("on") or name == "style"]
        assert "\u202e" not in each.text


def test_the_catalogues_own_words_are_escaped_too(tmp_path: Path) -> None:
    """What a protocol of one's own says of itself is words as well, in text and in attributes."""
    sources = sources_of(tmp_path / "boards", two_methods())
    (board,) = sources.boards
    protocol = board.protocol.model_copy(update={"about": f'"{SCRIPT}&amp;'})
    *_, page = protocol_files(replace(board, protocol=protocol), sources)
    found = Document(html(replace(page, about=f'"{SCRIPT}', title=SCRIPT)))
    assert found.problems == []
    assert len(found.values("script", "src")) == sum(tag == "script" for tag, _ in found.tags) == 2
    assert f'"{SCRIPT}&amp;' in found.text
    assert found.values("meta", "content")[-1] == f'"{SCRIPT}'


def test_links_out_are_https_and_lend_nothing(tmp_path: Path) -> None:
    """Expected: rel on the one link out; an address without https is words."""
    sources = sources_of(tmp_path / "boards", two_methods())
    page = next(each for each in text_pages(sources) if each.path == "retired.html")
    cells = (Cell("code", link="https://example.org/a"), Cell("http://example.org"))
    table = Table("links", columns("code", "no code"), (cells,))
    found = Document(html(replace(page, values={"table": table})))
    out = [each for tag, each in found.tags if tag == "a" and str(each["href"]).startswith("http")]
    assert out == [{"href": "https://example.org/a", "rel": "nofollow noopener"}]


def test_failing_reproductions_come_first() -> None:
    """By hand: of three figures of two reproductions two agree; the reason stands beside the one that fails."""
    good = reproduced("a", ("one", 1.0, "agrees"), ("two", 1.0, "agrees"))
    found = reproductions_of([good, reproduced("b", ("three", 2.0, "does not agree"))])
    assert lines_naming(found.summary, "3 figures", "2 agree")
    assert [[cell.text for cell in row[:2]] for row in found.table.rows] == [["b", "three"], ["a", "one"], ["a", "two"]]
    assert [(each.name, each.failing) for each in found.texts] == [("b", True), ("a", False)]
    assert {"Source: A source.", "Why it is missed: it differs."} <= {*found.texts[0].items}
    (chart,) = found.charts.panels
    assert chart.y.names == ("b: three", "a: one", "a: two")
    assert {series.name: [point.x for point in series.points] for series in chart.series} == {
        "agrees": [1.0, 1.0],
        "does not agree": [2.0],
    }


def test_a_table_says_what_it_is_sorted_by(tmp_path: Path) -> None:
    """By hand: a number carries what its text does not say, a dash nothing; the row's head has its scope."""
    sources = sources_of(tmp_path / "boards")
    page = next(each for each in text_pages(sources) if each.path == "retired.html")
    table = Table(
        "t",
        (*columns("name"), *numbers("size")),
        ((Cell("a"), Cell("1,000", 1000.0)), (Cell("b"), Cell("-")), (Cell("c"), Cell("1 to 7", 1.0))),
    )
    found = Document(html(replace(page, values={"table": table})))
    assert found.values("td", "data-o") == ["1"]
    assert found.values("th", "scope") == ["col", "col", "row", "row", "row"]
    assert found.values("table", "class") == ["sorts"]
    assert listed([]) == ""


def test_every_page_with_a_table_offers_it_for_computing(tmp_path: Path) -> None:
    """Expected: CSV and JSON beside each page with a table, with as many rows as it, and each linked from it.

    By hand: an unrounded number, a text that a spreadsheet would run as JSON text, and null for a dash.
    """
    sources = sources_of(tmp_path / "boards", two_methods())
    found = texts(sources)
    for path, text in found.items():
        page = Document(text)
        if not path.endswith(".html") or not any(tag == "table" for tag, _ in page.tags):
            continue
        folder = PurePosixPath(path).parent
        leads = [posixpath.normpath(folder / link) for link in page.values("a", "href")]
        links = [link for link in leads if link.endswith((".csv", ".json"))]
        assert links, path
        assert {link.rpartition(".")[2] for link in links} == {"csv", "json"}, path
        for link in links:
            is_json = link.endswith(".json")
            assert json.loads(found[link]) if is_json else [*csv.DictReader(io.StringIO(found[link]))], link
    results = {row["surrogate"]: row["results on boards"] for row in json.loads(found["surrogates.json"])}
    assert results == {"atan": 1, "triangle": 0, "sigmoid": 0, "zero": 1}
    cells = (Cell("=1+1"), Cell("1.50", 1.4996), Cell("-"))
    table = Table("t", (*columns("a"), *numbers("b", "c")), (cells,))
    assert as_csv(table).decode() == 'a,b,c\n"""=1+1""",1.4996,\n'
    assert json.loads(as_json(table)) == [{"a": "=1+1", "b": 1.4996, "c": None}]
    wide = Table("t", columns("a"), ((Cell("\uff1d1+1"),),))
    assert as_csv(wide).decode().splitlines()[1].startswith('"""')


def test_titles_of_a_table_are_unique(tmp_path: Path) -> None:
    """Else a column of its JSON would be lost."""
    files = [each for each in site_files(sources_of(tmp_path / "boards", two_methods())) if ".csv" in each.path]
    assert files
    for each in files:
        titles = next(csv.reader(io.StringIO(each.make().decode())))
        assert len(set(titles)) == len(titles), each.path


def test_the_front_page_begins_with_what_the_study_says(tmp_path: Path) -> None:
    """Expected: the answers of `recommend` for each kind of network.

    Must differ: without advice the front page answers from the boards alone, and without documentation links none.
    """
    advice = read_answer().networks
    sources = sources_of(tmp_path / "boards", two_methods())
    told = replace(sources, extras=SiteExtras(advice, has_docs=True))
    told.__dict__.update(surrogates=sources.surrogates, neurons=sources.neurons)
    page = documents(told)["index.html"]
    plain = documents(sources)["index.html"]
    for each in advice:
        setting = each.settings["accuracy"][0]
        said = f"{each.network.partition(' ')[2]}: {setting.surrogate} at a width of {setting.width_fwhm:g}"
        assert said in page.text.replace(f" (provisional {each.provisional})", "")
        assert said not in plain.text
        words = shlex.split(each.command)
        network = MeasuredNetwork(int(words[3]), recurrent="--recurrent" in words, steps=int(words[-1]))
        found = advise(read_answer(), network)
        assert each.settings["accuracy"] == found.settings
    assert MAP_CAPTION in page.text
    assert MAP_CAPTION not in plain.text
    panels = study_charts(told)[MAP].panels
    kinds = [chart.network for chart in panels]
    assert len({*kinds}) > 2
    assert all(kinds)
    assert [chart.title in page.text for chart in panels] == [kinds.index(kind) == at for at, kind in enumerate(kinds)]
    docs = {path for path, _ in DOCS_SECTIONS}
    assert docs <= set(page.values("a", "href"))
    assert not docs & set(plain.values("a", "href"))


def test_curves_have_a_mean_of_the_epochs_that_all_finished_seeds_have(tmp_path: Path) -> None:
    """By hand: of two seeds with 2 and 3 epochs the mean has 2; a failed seed is drawn and does not count."""
    (board,) = sources_of(tmp_path / "boards", two_methods()).boards

    def with_curve(seed: int, scores: list[float], **changes: object) -> RunRecord:
        curve = [
            EpochScores(epoch=number, train_loss=1.0 / (number + 1), validation_loss=1.0, validation_accuracy=score)
            for number, score in enumerate(scores)
        ]
        return record(seed=seed, accuracy=0.9, of=method()).model_copy(update={"curve": curve, **changes})

    failure = Failure(kind="NonFiniteError", message="m")
    records = [with_curve(0, [0.5, 0.7]), with_curve(1, [0.6, 0.9, 0.95]), with_curve(2, [0.1], failure=failure)]
    drawing = laid_out(curve_charts(records, board))
    assert drawing is not None
    accuracy, loss = drawing.panels
    assert [name for name, *_ in drawing.key] == ["each seed", "mean"]
    assert len(accuracy.series) == len(loss.series) == 4
    assert accuracy.series[-1].line.count(" ") == 2
    low, high = summarise([0.5, 0.6], scale="share").ends
    assert accuracy.series[-1].tooltips[0] == f"epoch 0, 55 ({100 * low:.4g} to {100 * high:.4g})"
    assert accuracy.y_ends == pytest.approx((10, 95))


def test_the_search_lists_what_pages_are_about(tmp_path: Path) -> None:
    """Expected: the board, its methods and the entries with their formulas; a stranger's words are no script."""
    found = texts(sources_of(tmp_path / "boards", two_methods()))
    first, *lines, last = found["searched.js"].splitlines()
    assert (first, last) == ("(self.searched ??= []).push(", ");")
    listed = {row[1]: row for row in json.loads(f"[{''.join(lines)}]")}
    assert listed["protocols/toy_v1.html"][2] == "board"
    assert listed["surrogates/atan.html"][:3] == ["atan", "surrogates/atan.html", "surrogate"]
    assert "pi alpha u" in listed["surrogates/atan.html"][3]
    methods = [row for row in listed.values() if row[2] == "method"]
    assert sorted("90.00" in row[3] for row in methods) == [False, True]
    assert all(path in found for path in listed)


def test_the_script_of_a_method_has_what_two_are_compared_by(tmp_path: Path) -> None:
    """Expected: the percents of its records, the figures of `sgbench board explain`, settings by their words."""
    sources = sources_of(tmp_path / "boards", two_methods())
    (board,) = sources.boards
    first, second = board.rows
    first_line, told, last = texts(sources)[f"methods/toy_v1/{first.method_id}.js"].splitlines()
    assert (first_line, last) == ("(self.methods ??= []).push(", ");")
    value = json.loads(told)
    assert value["scores"] == pytest.approx({str(seed): 100 * score for seed, score in first.scores.items()})
    rows = explain_rows(board, first, second, hits={}).table[1:]
    assert {name: value["figures"].get(name, first.method_id) for name, *_ in rows} == {
        name: text for name, text, _ in rows
    }
    assert value["settings"]["surrogate"] == first.surrogate.partition("(")[0]
    page = texts(sources)["compare.html"]
    assert Document(page).problems == []
    assert "pairs (Holm)" in page
    assert "says the same" not in page
    quantiles = re.search(r'data-quantiles="([^"]+)"', page)[1].split()
    assert [float(each) for each in quantiles] == pytest.approx(t.ppf(0.975, range(1, len(first.scores))), rel=1e-8)
