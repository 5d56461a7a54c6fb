"""The feed of new rows against RFC 4287, and the page of what waits; expected values by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from registry.site.feed import NEVER, NEWEST, feed_file
from registry.site.pending import HEAD, RUN_AGAIN, TRAIN_AGAIN, pending_page, read_waiting
from registry.site.sources import SiteExtras, Sources
from sgbench.leaderboard.store.audits import AUDIT
from sgbench.leaderboard.store.method_provenance import place
from sgbench.records.record import RunRecord
from sgbench.records.submission import Notice, Submission, Verification
from tests.leaderboard.factory import method, record
from tests.leaderboard.handed_in import hand_in
from tests.site.boards import documents, html, sources_of
from tests.site.documents import Document
from tests.submission.factory import submission

ATOM = "{http://www.w3.org/2005/Atom}"
RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"


def made(name: str, day: int) -> list[RunRecord]:
    """Three runs of one surrogate on one day."""
    runs = [record(seed=seed, accuracy=0.5 + seed / 100, of=method(surrogate=name)) for seed in (0, 1, 2)]
    when = f"2026-02-{day:02d}T00:00:00+00:00"
    return [
        run.model_copy(update={"provenance": run.provenance.model_copy(update={"created_utc": when})}) for run in runs
    ]


def feed(sources: Sources) -> ElementTree.Element:
    """The feed, parsed; what the format asks for is there."""
    root = ElementTree.fromstring(feed_file(sources).make())  # noqa: S314 - our own bytes
    assert root.tag == f"{ATOM}feed"
    assert root.find(f"{ATOM}author/{ATOM}name") is not None
    for element in [root, *root.findall(f"{ATOM}entry")]:
        for name in ("id", "title", "updated"):  # each exactly once: sections 4.1.1 and 4.1.2
            assert len(element.findall(f"{ATOM}{name}")) == 1
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", text(element, "id"))  # an absolute IRI: 4.2.6
        assert re.fullmatch(RFC_3339, text(element, "updated"))
    ids = [text(entry, "id") for entry in root.iter(f"{ATOM}entry")]
    assert len(set(ids)) == len(ids)
    return root


def text(element: ElementTree.Element, name: str) -> str:
    found = element.find(f"{ATOM}{name}")
    return "" if found is None or found.text is None else found.text


def head(**values: Any) -> Submission:
    """A submission of the toy protocol, as it is handed in."""
    tree = json.loads(submission()[HEAD]) | values
    return Submission.model_validate_json(json.dumps(tree))


def test_rows_and_notices_come_newest_first(tmp_path: Path) -> None:
    """Two rows, one result from outside and one withdrawal, by their days; a feed of nothing is one too."""
    root = tmp_path / "boards"
    runs = [*made("atan", 3), *made("triangle", 5)]
    sources_of(root, runs)
    identity = hand_in(root, 0.9, 0.92)  # of 1 January
    tree: dict[str, Any] = {"protocol": "toy_v1", "method_id": runs[0].method_id, "kind": "withdrawn"}
    tree |= {"schema_version": 1, "superseded_by": None, "reason": "its labels leaked"}
    place(root / "toy_v1", Notice.model_validate(tree | {"created_utc": "2026-03-01T00:00:00Z"}))
    found = feed(sources_of(root))
    entries = found.findall(f"{ATOM}entry")
    assert [text(entry, "updated")[5:10] for entry in entries] == ["03-01", "02-05", "02-03", "01-01"]
    assert text(found, "updated") == "2026-03-01T00:00:00Z"
    assert text(entries[0], "summary") == "its labels leaked"
    assert text(entries[0], "title").endswith("withdrawn")
    assert [entry.find(f"{ATOM}link").get("href") for entry in entries[:3:2]] == [  # type: ignore[union-attr]
        f"methods/toy_v1/{runs[0].method_id}.html"
    ] * 2
    assert "code outside the catalogue" in text(entries[3], "title")
    assert "answers alone" not in text(entries[3], "summary")  # nobody has scored it
    assert identity not in feed_file(sources_of(tmp_path / "none")).make().decode()
    assert text(feed(sources_of(tmp_path / "none")), "updated") == NEVER


def test_every_form_of_a_time_is_a_date(tmp_path: Path) -> None:
    """ISO 8601 knows weeks too: by hand the first Monday of 2026's first week is 29 December 2025."""
    root = tmp_path / "boards"
    runs = made("atan", 3)
    sources_of(root, runs)
    tree: dict[str, Any] = {"protocol": "toy_v1", "method_id": runs[0].method_id, "kind": "withdrawn"}
    tree |= {"schema_version": 1, "superseded_by": None, "reason": "its labels leaked"}
    place(root / "toy_v1", Notice.model_validate(tree | {"created_utc": "2026-W01-1T00+00:00"}))
    entries = feed(sources_of(root)).findall(f"{ATOM}entry")
    assert [text(entry, "updated")[:10] for entry in entries] == ["2026-02-03", "2025-12-29"]
    page = html(
        pending_page(replace(sources_of(root), extras=SiteExtras(waiting=(head(created_utc="20260131T000000Z"),))))
    )
    assert "2026-01-31" in Document(page).text


def test_the_same_rows_give_the_same_bytes_and_the_feed_ends(tmp_path: Path) -> None:
    """By hand: of 60 rows the newest 50; ids do not depend on what else is there."""
    root = tmp_path / "boards"
    first = feed(sources_of(root, made("atan", 1)))
    widths = [method(parameters={"surrogate": {"width_fwhm": 1 + width / 100}}) for width in range(1, 60)]
    more = [record(seed=seed, accuracy=0.5, of=of) for of in widths for seed in (0, 1, 2)]
    sources = sources_of(root, more)
    assert feed_file(sources).make() == feed_file(sources).make()
    entries = feed(sources).findall(f"{ATOM}entry")
    assert len(entries) == NEWEST
    assert text(first.findall(f"{ATOM}entry")[0], "id") in [text(entry, "id") for entry in entries]


def test_pages_name_the_feed(tmp_path: Path) -> None:
    """From the top and from below it, by a path that leads there."""
    pages = documents(sources_of(tmp_path / "boards", made("atan", 1)))
    for path, there in (("index.html", "feed.xml"), ("protocols/toy_v1.html", "../feed.xml")):
        assert there in pages[path].values("link", "href")
    assert {"feed.xml", "pending.html"} <= set(pages["submit.html"].values("a", "href"))


def test_what_waits(tmp_path: Path) -> None:
    """A folder of a checkout waits for review, an accepted row for what nobody has done yet."""
    root, folder = tmp_path / "boards", tmp_path / "submissions"
    handed_in = head()
    path = folder / "toy_v1" / handed_in.method_id / HEAD
    path.parent.mkdir(parents=True)
    path.write_text(handed_in.model_dump_json())
    waiting, left_out = read_waiting(folder)
    assert (waiting, left_out) == ([handed_in], [])
    runs = made("atan", 1)
    sources = replace(sources_of(root, runs), extras=SiteExtras(waiting=tuple(waiting)))
    page = Document(html(pending_page(sources)))
    assert "someone@example.org" in page.text
    assert "maintainer's review" in page.text

    assert handed_in.method_id == runs[0].method_id
    place(root / "toy_v1", handed_in)
    page = Document(html(pending_page(sources_of(root))))
    assert f"{RUN_AGAIN}; {TRAIN_AGAIN}" in page.text
    tree: dict[str, Any] = {"schema_version": 1, "protocol": "toy_v1", "method_id": handed_in.method_id}
    tree |= {"passed": True, "verifier": "me", "claimed_accuracy": 0.5, "verified_accuracy": 0.5}
    tree |= {"agreement": None, "tolerance": 0.1, "statement": "the same", "commit": None, "versions": {}}
    tree |= {"created_utc": "2026-01-02T00:00:00Z"}
    place(root / "toy_v1", Verification.model_validate(tree | {"tier": "reinferred", "seeds": (0, 1, 2)}))
    text_ = Document(html(pending_page(sources_of(root)))).text
    assert RUN_AGAIN not in text_
    assert TRAIN_AGAIN in text_
    place(root / "toy_v1", Verification.model_validate(tree | {"tier": "retrained", "seeds": (0,)}))
    assert TRAIN_AGAIN in Document(html(pending_page(sources_of(root)))).text  # a seed known beforehand
    again = [{"method_id": handed_in.method_id, "seed": seed, "engine": "fused"} for seed in range(3)]
    scores = {"claimed": 0.5, "again": 0.5}
    session = {"verifier": "me", "draw": 1, "commit": None, "versions": {}, "processor": "a processor"}
    session |= {"created_utc": tree["created_utc"], "retrainings": [each | scores for each in again]}
    audit = {"schema_version": 1, "protocol": "toy_v1", "measure": "accuracy", "tolerance": None}
    (root / "toy_v1" / AUDIT).write_text(json.dumps(audit | {"sessions": [session], "passed_over": []}))
    assert "Nothing waits." in Document(html(pending_page(sources_of(root)))).text


@pytest.mark.parametrize("spoilt", ["name", "place", "json"])
def test_a_bad_submission_is_named_and_not_shown(tmp_path: Path, spoilt: str) -> None:
    """Markup in a name, another's folder, or no JSON."""
    values = json.loads(head().model_dump_json()) | ({"name": "<img src=x>"} if spoilt == "name" else {})
    where = "0" * 12 if spoilt == "place" else values["method_id"]
    path = tmp_path / "toy_v1" / where / HEAD
    path.parent.mkdir(parents=True)
    path.write_text("{" if spoilt == "json" else json.dumps(values))
    waiting, (left_out,) = read_waiting(tmp_path)
    assert waiting == []
    assert left_out.path == str(path)
