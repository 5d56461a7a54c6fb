"""Sites of boards at their edges: each page is well-formed, and says what there is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sgbench.leaderboard.deviation import WITHOUT
from sgbench.leaderboard.store.method_provenance import place
from sgbench.records.counts import Count
from sgbench.records.record import RunRecord
from sgbench.records.spec import Method
from sgbench.records.submission import Notice
from tests.leaderboard import factory
from tests.leaderboard.factory import method, network_counts, record
from tests.leaderboard.handed_in import hand_in
from tests.leaderboard.test_loss_boards import with_loss
from tests.messages import lines_naming
from tests.rooms import ROOT
from tests.site.boards import documents, sources_of, texts
from tests.site.documents import Document

PUBLISHED = ROOT / "leaderboards" / "digits_v1"
LONG = "x" * 300
CASES: dict[str, tuple[list[RunRecord], str, str]] = {
    "no record at all": ([], "index.html", "The boards cannot say yet."),
    "one method, one seed": (
        [record(seed=0, accuracy=0.9)],
        "protocols/toy_v1.html",
        "one seed gives neither an interval nor a rank",
    ),
    "failed seeds alone": (
        [record(seed=seed, accuracy=None) for seed in (0, 1)],
        "protocols/toy_v1.html",
        "2 of 3 (2 failed)",
    ),
    "a target without a total": (
        [
            record(seed=seed, accuracy=0.9, found=network_counts(spikes_sent=Count(reason="ring buffers")))
            for seed in (0, 1)
        ],
        "protocols/toy_v1.html",
        "ring buffers",
    ),
}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("case", CASES)
def test_pages_of(case: str, tmp_path: Path) -> None:
    """Expected: pages that are well-formed, one of which says what there is."""
    made, path, words = CASES[case]
    assert words in documents(sources_of(tmp_path / "boards", made))[path].text


def test_a_name_of_300_letters(tmp_path: Path) -> None:
    """Expected: the longest name that may be handed in stands on the page; a longer text is left out and named."""
    root = tmp_path / "boards"
    hand_in(root, 0.90, 0.92, name="W" * 80)  # the longest that a submission may have
    long = record(seed=0, accuracy=0.9, of=method(parameters={"surrogate": {"scale": LONG}}))
    sources = sources_of(root, [long])
    assert "W" * 80 in documents(sources)["protocols/digits_v1.html"].text
    (left_out,) = [each.reason for each in sources.findings if long.method_id in each.path]
    assert len(left_out) < 300


def test_a_withdrawn_best_row(tmp_path: Path) -> None:
    """By hand: the first of three goes, so ranks are those of two, and the reason stands on three pages."""
    root = tmp_path / "boards"
    made = [
        record(seed=seed, accuracy=accuracy + seed / 100, of=method(surrogate=name))
        for name, accuracy in (("atan", 0.9), ("triangle", 0.7), ("zero", 0.3))
        for seed in (0, 1, 2)
    ]
    sources_of(root, made)
    best = made[0].method_id
    notice: dict[str, Any] = {"protocol": "toy_v1", "method_id": best, "kind": "withdrawn", "superseded_by": None}
    notice |= {"schema_version": 1, "reason": "its labels leaked", "created_utc": "2026-01-01T00:00:00Z"}
    place(root / "toy_v1", Notice.model_validate(notice))
    sources = sources_of(root)
    pages = documents(sources)
    (board,) = sources.boards
    assert [row.surrogate.partition("(")[0] for row in board.rows] == ["triangle", "zero"]
    assert "its labels leaked" in pages["retired.html"].text
    assert "its labels leaked" in pages[f"methods/toy_v1/{best}.html"].text
    assert f"../methods/toy_v1/{best}.html" in pages["protocols/toy_v1.html"].values("a", "href")
    assert "retired" in pages["surrogates/atan.html"].text


def test_results_from_outside_alone(tmp_path: Path) -> None:
    """By hand: 0.90 and 0.92 are 91 +- 12.706 x 0.01; code is a link, and no picture is promised."""
    hand_in(tmp_path / "boards", 0.90, 0.92)
    page = documents(sources_of(tmp_path / "boards"))["protocols/digits_v1.html"]
    assert "91.00 (68.18 to 97.95)" in page.text
    assert lines_naming(page.text, "1 from outside")
    assert "https://example.org/mine" in page.values("a", "href")
    assert [path for path in page.values("img", "src") if not path.endswith("badge.svg")] == []


def test_names_that_would_act_on_a_page(tmp_path: Path) -> None:
    """Expected: a submission whose name is markup, or turns text around, is left out and named; no page has it."""
    root = tmp_path / "boards"
    identity = hand_in(root, 0.90, 0.92)
    path = root / "digits_v1" / "submissions" / f"{identity}.json"
    stored = json.loads(path.read_text())
    for name in ("<img src=x onerror=alert(1)>", "abc\u202edef"):
        path.write_text(json.dumps({**stored, "name": name}))
        sources = sources_of(root)
        assert str(path) in [each.path for each in sources.findings]
        assert not [path for path, text in texts(sources).items() if "onerror" in text or "\u202e" in text]


def test_a_protocol_of_baselines_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 0.80, 0.81 and 0.82 are 81 % in the part without ranks, and nothing is promised above it."""
    plain = factory.reference()
    entries = {group: dict(known) for group, known in plain.entries.items()}
    facts = {"hidden": "${protocol.hidden}", "recurrence": "none", "bias": False}
    entries["network"]["linear"] = factory.toy_entry("network", "linear", meta={"spikes": False}, **facts)
    monkeypatch.setattr(factory, "reference", lambda: replace(plain, entries=entries))
    spiking = method()
    choices = spiking.choices | {**WITHOUT, "network": "linear"}
    numbers = spiking.parameters | {key: {} for key in WITHOUT}
    without = Method.model_validate(spiking.model_dump() | {"choices": choices, "parameters": numbers})
    sources = sources_of(
        tmp_path / "boards", [record(seed=seed, accuracy=0.8 + seed / 100, of=without) for seed in (0, 1, 2)]
    )
    assert sources.findings == ()
    pages = documents(sources)
    page = pages["protocols/toy_v1.html"]
    assert lines_naming(page.text, "1 baseline")
    assert "81.00" in page.text
    assert [path for path in page.values("img", "src") if not path.endswith("badge.svg")] == []
    assert "boards cannot say" in pages["index.html"].text


def test_a_submission_without_predictions(tmp_path: Path) -> None:
    """Expected: its page says who handed it in and what was claimed, although no file of answers is stored."""
    root = tmp_path / "boards"
    shutil.copytree(PUBLISHED, root / "digits_v1", ignore=shutil.ignore_patterns("objects", "verifications"))
    pages = documents(sources_of(root))
    (handed_in,) = (root / "digits_v1" / "submissions").glob("*.json")
    page = pages[f"methods/digits_v1/{handed_in.stem}.html"]
    assert json.loads(handed_in.read_text())["name"] in page.text
    assert "not repeated with success" in page.text


@pytest.mark.slow
def test_1000_methods(tmp_path: Path) -> None:
    """Hand count: 1000 rows on one page of less than 1 MB, and a page for each method."""
    made = [
        record(
            seed=0, accuracy=0.5 + number / 2500, of=method(parameters={"surrogate": {"width_fwhm": 1 + number / 1000}})
        )
        for number in range(1000)
    ]
    found = texts(sources_of(tmp_path / "boards", made))
    page = Document(found["protocols/toy_v1.html"])
    assert page.problems == []
    assert sum(tag == "tr" for tag, _ in page.tags) > 1000
    assert len(found["protocols/toy_v1.html"].encode()) < 1_000_000
    assert sum(path.startswith("methods/") and path.endswith(".html") for path in found) == 1000


def test_boards_of_losses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: the least loss is first, and no page of it speaks of an accuracy in percent."""
    plain = factory.reference()
    entries = {group: dict(known) for group, known in plain.entries.items()}
    facts = {**factory.TOY_FACTS, "target": "trace"}
    facts.pop("classes")
    entries["dataset"] = {"digits": factory.toy_entry("dataset", "digits", meta=facts)}
    monkeypatch.setattr(factory, "reference", lambda: replace(plain, entries=entries, guess_loss=0.5))
    made = [
        with_loss(seed, loss + seed / 1000, method(surrogate=name))
        for name, loss in (("atan", 0.01), ("triangle", 0.2))
        for seed in (0, 1, 2)
    ]
    sources = sources_of(tmp_path / "boards", made)
    assert sources.findings == ()
    page = documents(sources)["protocols/toy_v1.html"]
    assert page.text.index("0.011") < page.text.index("0.201")
    assert "test accuracy" not in page.text
    assert "less is better" in page.text
