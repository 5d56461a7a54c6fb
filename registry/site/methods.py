"""Builds the page of each method, from one method's records at a time."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from registry.site.across import method_script
from registry.site.command import method_overrides, run_line
from registry.site.method_tables import (
    curve_charts,
    energy_tables,
    layer_table,
    provenance_table,
    seed_table,
    verification_table,
)
from registry.site.protocol_charts import method_maps
from registry.site.render import Download, Page, SiteFile
from registry.site.sources import ShownRow, Sources, method_path, protocol_path
from sgbench.composition import catalogue
from sgbench.errors import InputError
from sgbench.leaderboard.differing_settings import parameter_text
from sgbench.leaderboard.pages.checked import repeats_text
from sgbench.leaderboard.pages.columns import CLAIMED, rank_text
from sgbench.leaderboard.pages.export import encode, to_table
from sgbench.leaderboard.store.method_provenance import MethodProvenance
from sgbench.leaderboard.store.reading import Finding, RecordFile
from sgbench.leaderboard.store.stored import record_path
from sgbench.leaderboard.store.tree import read_files
from sgbench.plots.chart import Charts
from sgbench.plots.layout import laid_out
from sgbench.records.files import to_json
from sgbench.records.record import RunRecord
from sgbench.records.spec import GROUPS, NOTHING, Method
from sgbench.tables import NONE, inert
from sgbench.tables.table import Cell, Table, texts

PAGED = {"surrogate": "surrogate", "neuron": "neuron", "readout": "neuron"}
"""Maps each config group whose entries have pages to the group of these pages."""
PARTS = {
    "ranked": "",
    "claimed": "Without a rank: not repeated with success, so all of it is claimed.",
    "baseline": "Without a rank: a baseline, a network without spikes.",
    "retired": "Without a rank: it no longer counts.",
}
"""Maps each part of a board to the sentence on the page of a method in it."""


def method_files(sources: Sources, files: Sequence[RecordFile]) -> Iterator[Page | SiteFile]:
    """Yield the page and the tables of every method that a board shows, reading its records again."""
    experiment_names = tuple(catalogue.paths("experiment", sources.references.config_dirs))
    for row in read_files(files, sources.tree):
        shown = None if isinstance(row, Finding) else sources.shown.get(row.row_id)
        if shown is not None and not isinstance(row, Finding):
            yield from _files_of(row.records, shown, sources, experiment_names)


def _files_of(
    group: Sequence[RunRecord], shown: ShownRow, sources: Sources, experiment_names: Sequence[str]
) -> Iterator[Page | SiteFile]:
    """Yield the files of a method: its records as CSV and JSON, its charts, and its page."""
    stem = method_path(group[0].protocol, shown.row.method_id).removesuffix(".html")
    listing = shown.row.listing
    table = to_table([group], listing_of=None if listing is None else lambda _: listing)
    yield SiteFile(f"{stem}.csv", partial(encode, table, "csv"))
    yield SiteFile(f"{stem}.json", partial(encode, table, "json"))
    for record in group:
        link = _record_file(record, shown.row.method_id, sources).link
        if link is not None:
            yield SiteFile(link, partial(to_json, record))
    records = sorted(group, key=lambda record: record.seed)
    curves = curve_charts(records, shown.board, claim="" if listing is None else CLAIMED)
    yield SiteFile(f"{stem}.js", partial(method_script, records[0].method, shown, curves))
    yield _page(records, curves, shown, sources, experiment_names)


def _record_file(record: RunRecord, row_id: str, sources: Sources) -> Cell:
    """Return where a record lies: its place in the repository, or a file of the site if it is packed in a shard."""
    folder = Path(sources.root.resolve().name)  # independent of where the repository is
    text = record_path(folder / record.protocol, row_id, record.seed).as_posix()
    if record_path(sources.root / record.protocol, row_id, record.seed).exists():
        return Cell(text, is_code=True)
    stem = method_path(record.protocol, row_id).removesuffix(".html")
    return Cell(f"{record.seed}.json", link=f"{stem}/{record.seed}.json", is_code=True)


def _page(
    records: Sequence[RunRecord], curves: Charts, shown: ShownRow, sources: Sources, experiment_names: Sequence[str]
) -> Page:
    """Return the page of a method."""
    row, board = shown.row, shown.board
    path = method_path(board.protocol.name, row.method_id)
    stem = path.removesuffix(".html")
    claim = "" if row.listing is None else CLAIMED
    return Page(
        path,
        f"{row.label} on {board.protocol.name}",
        f"Every seed of {row.label} on {board.protocol.name}, with curves, costs and provenance.",
        "method.html",
        {
            "row": row,
            "board": board,
            "protocol": protocol_path(board.protocol.name),
            "part": PARTS[shown.part],
            "facts": _facts(shown),
            "origin": MethodProvenance() if row.listing is None else row.listing.provenance,
            "superseded_by": _superseded_by(shown, sources),
            "command": _command(records, sources, experiment_names),
            "choices": _choices(records[0].method, sources),
            "seeds": seed_table(records, board, claim=claim),
            "curves": laid_out(curves),
            "maps": method_maps(row, board, sources),
            "layers": layer_table(records),
            "energies": energy_tables(row, board),
            "verifications": verification_table(row, board),
            "provenance": provenance_table(records, claim=claim),
            "files": [_record_file(record, row.method_id, sources) for record in records],
        },
        "boards.html",
        (Download("CSV", f"{stem}.csv"), Download("JSON", f"{stem}.json")),
    )


def _facts(shown: ShownRow) -> list[tuple[str, str]]:
    """Return names and texts of a method's main facts."""
    row, measure = shown.row, shown.board.measure
    facts = [("method id", row.method_id), (measure.title, measure.summary(row.score))]
    if row.rank is not None:
        facts.append(("rank", f"{rank_text(row)} of {len(shown.board.rows)}, group {row.rank.groups}"))
    if row.listing is not None:
        facts += [("division", row.listing.division), ("checked", repeats_text(row, measure))]
    if row.costs.parameters is not None:
        facts.append(("trainable parameters", f"{row.costs.parameters:,}"))
    return facts


def _superseded_by(shown: ShownRow, sources: Sources) -> str | None:
    notice = None if shown.row.listing is None else shown.row.listing.provenance.notice
    if notice is None or notice.superseded_by not in sources.shown:
        return None
    return method_path(shown.board.protocol.name, notice.superseded_by)


def _command(records: Sequence[RunRecord], sources: Sources, experiment_names: Sequence[str]) -> str:
    """Write the command that runs a method again; empty if the catalogue lacks its protocol."""
    try:
        reference = sources.references.of(records[0].protocol)
    except InputError:
        return ""
    return run_line(
        method_overrides(records[0].method, reference, experiment_names), (record.seed for record in records)
    )


def _choices(method: Method, sources: Sources) -> Table:
    """Return the table of the entries and numbers that make the method."""
    rows = []
    for group in GROUPS:
        choice = method.choices[group]
        if choice == NOTHING and not method.parameters[group]:
            continue
        page = sources.page_of(PAGED[group], choice) if group in PAGED else None
        parameters = ", ".join(f"{key}={parameter_text(value)}" for key, value in method.parameters[group].items())
        rows.append((Cell(group), Cell(inert(choice), link=page, is_code=True), Cell(parameters or NONE)))
    if method.clip_norm is not None:
        rows.append((Cell("clip_norm"), Cell(NONE), Cell(f"{method.clip_norm:g}")))
    return Table("Entries and numbers that make the method", texts("choice", "entry", "numbers"), tuple(rows))
