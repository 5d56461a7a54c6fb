"""Writes the Atom feed of new rows and of notices on rows."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

from registry.site.render import SiteFile
from registry.site.sources import Sources, method_path, protocol_path
from sgbench.leaderboard.pages.checked import checked_text
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.records.base import in_seconds

FEED = "feed.xml"
ATOM = "http://www.w3.org/2005/Atom"
NEWEST = 50
NEVER = "1970-01-01T00:00:00Z"
"""When a feed without entries was last changed: the format requires a time."""
NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "sgbench/leaderboards")
"""Namespace of the ids of entries, which must not depend on the address of the site."""


@dataclass(frozen=True)
class Event:
    """Holds one entry of the feed: a new row, or a notice on one."""

    key: str  # identifies the entry, equal in each build
    updated: str  # time of the event
    title: str  # one line
    summary: str  # one sentence
    link: str  # path of a page from the top of the site


def feed_file(sources: Sources) -> SiteFile:
    """Build the feed of the 50 newest rows and notices, the newest first (RFC 4287)."""
    events = sorted(_events(sources), key=lambda event: (event.updated, event.key), reverse=True)
    return SiteFile(FEED, lambda: _atom(events[:NEWEST]))


def _events(sources: Sources) -> Iterator[Event]:
    """Yield an event for each row and each notice, of the catalogue's methods and of code outside."""
    for shown in sources.shown.values():
        row, board = shown.row, shown.board
        made, link = sources.by_id[row.method_id].made_utc, method_path(board.protocol.name, row.method_id)
        provenance = MethodProvenance() if row.listing is None else row.listing.provenance
        if made:
            unit = "" if board.measure.is_loss else " %"
            yield Event(
                f"row/{board.protocol.name}/{row.method_id}",
                in_seconds(made),
                f"{board.protocol.name}: {row.label}",
                f"{board.measure.summary(row.score)}{unit}; {shown.part}; {checked_text(provenance)}.",
                link,
            )
        yield from _notices(board, row.method_id, row.label, provenance, link)
    for board in sources.boards:
        for outsider in board.outsiders:
            head, link = outsider.provenance.submission, protocol_path(board.protocol.name)
            title = outsider.method_id if head is None else head.name
            if head is not None:
                yield Event(
                    f"row/{board.protocol.name}/{outsider.method_id}",
                    in_seconds(head.created_utc),
                    f"{board.protocol.name}: {title} (code outside the catalogue)",
                    f"{board.measure.summary(outsider.score)}; {checked_text(outsider.provenance, outside=True)}.",
                    link,
                )
            yield from _notices(board, outsider.method_id, title, outsider.provenance, link)


def _notices(board: Board, method_id: str, title: str, provenance: MethodProvenance, link: str) -> Iterator[Event]:
    """Yield the event of a withdrawal, if there is one."""
    notice = provenance.notice
    if notice is not None:
        key = f"{notice.kind}/{board.protocol.name}/{method_id}"
        yield Event(
            key, in_seconds(notice.created_utc), f"{board.protocol.name}: {title} {notice.kind}", notice.reason, link
        )


def _atom(events: list[Event]) -> bytes:
    """Write events as an Atom feed."""
    feed = ElementTree.Element("feed", xmlns=ATOM)
    _add(feed, "title", "sgbench boards: new rows")
    _add(feed, "id", uuid.uuid5(NAMESPACE, "feed").urn)
    _add(feed, "updated", events[0].updated if events else NEVER)
    _add(ElementTree.SubElement(feed, "author"), "name", "The sgbench authors")
    ElementTree.SubElement(feed, "link", rel="self", href=FEED)
    ElementTree.SubElement(feed, "link", rel="alternate", type="text/html", href="boards.html")
    for event in events:
        entry = ElementTree.SubElement(feed, "entry")
        _add(entry, "title", event.title)
        _add(entry, "id", uuid.uuid5(NAMESPACE, event.key).urn)
        _add(entry, "updated", event.updated)
        ElementTree.SubElement(entry, "link", rel="alternate", type="text/html", href=event.link)
        _add(entry, "summary", event.summary)
    ElementTree.indent(feed)
    return ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True) + b"\n"


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = text
