"""Builds the pages of surrogates and neurons: formula, parameters, presets, and results on every board."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from registry.site.entry_facts import CURVES, SYMBOLS, EntryFacts, facts_of, presets_by_entry
from registry.site.pictures import SMALL_END, digest_in, size_in
from registry.site.render import Page, Picture, SiteFile
from registry.site.sources import Sources, method_path, protocol_path
from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.leaderboard.pages.columns import rank_text
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series
from sgbench.plots.layout import laid_out
from sgbench.tables import NONE, counted
from sgbench.tables.table import Cell, Table, number, numbers, texts

UNDRAWN = "no digest"
"""Stands for the digest of a picture that contains none."""
MOST = 5
"""Most results of an entry on one board that its page shows; its files have all."""


def entry_files(group: str, sources: Sources) -> Iterator[Page | SiteFile]:
    """Yield the list of a group's entries, a page for each, and their pictures as far as these were drawn."""
    known = sources.group(group)
    canonical = {name: entry for name, entry in known.items() if not is_preset(entry) and "/" not in name}
    presets = presets_by_entry(known)
    results, ranks = _results_of(group, sources), _ranks_of(group, sources)
    sparklines = {}  # paths, by name
    for name in canonical:
        drawing = _drawing(f"{group}s/{name}{SMALL_END}", sources.extras.pictures)
        if drawing is not None:
            sparklines[name] = drawing.path
            yield drawing
    facts = {name: facts_of(entry, presets.get(name, [])) for name, entry in canonical.items()}
    yield _list_page(group, facts, results, presets, sparklines)
    for name, entry in facts.items():
        path = f"{group}s/{name}.svg"
        drawing, picture = _drawing(path, sources.extras.pictures), None
        if drawing is not None:
            about = CURVES[group]
            size = size_in(_content(sources.extras.pictures[path]))
            picture = Picture(path, f"{about} of {name}", f"The {about} at the defaults.", size)
            yield drawing
        yield _entry_page(
            entry,
            presets.get(name, []),
            results.get(name, []),
            ranks.get(name, {}),
            picture,
            has_docs=sources.extras.has_docs,
        )


def _results_of(group: str, sources: Sources) -> dict[str, list[tuple[Cell, ...]]]:
    """Map each entry, presets counting as their canonical entry, to a table row for each method with it."""
    results: dict[str, list[tuple[Cell, ...]]] = {}
    known = sources.group(group)
    for method_id, shown in sources.shown.items():
        choice = sources.by_id[method_id].method.choices[group]
        if choice not in known:
            continue
        row, measure, name = shown.row, shown.board.measure, shown.board.protocol.name
        cells = (
            Cell(name, link=protocol_path(name), is_code=True),
            Cell(row.label, link=method_path(name, method_id), is_code=True),
            number(None if row.rank is None else float(row.rank.low), rank_text(row)),
            Cell(str(len(shown.board.rows)), float(len(shown.board.rows))),
            Cell(NONE if row.rank is None else row.rank.groups),
            Cell(measure.title),
            Cell(measure.summary(row.score), row.score.mean),
            Cell("" if shown.part == "ranked" else shown.part),
        )
        results.setdefault(canonical_name(known[choice]), []).append(cells)
    return results


def _ranks_of(group: str, sources: Sources) -> dict[str, dict[str, list[ChartPoint]]]:
    """Map each canonical entry to a map from boards to the ranks of its methods, from 0 (first) to 100 (last)."""
    ranks: dict[str, dict[str, list[ChartPoint]]] = {}
    known = sources.group(group)
    for method_id, shown in sources.shown.items():
        choice, row, name = (sources.by_id[method_id].method.choices[group], shown.row, shown.board.protocol.name)
        last = len(shown.board.rows) - 1
        if choice in known and row.rank is not None and last:
            boards = ranks.setdefault(canonical_name(known[choice]), {})
            low, high = (100 * (rank - 1) / last for rank in (row.rank.low, row.rank.high))
            label = f"{name}: {row.label}, rank {rank_text(row)} of {last + 1}"
            points = boards.setdefault(name, [])
            link = method_path(name, method_id)
            points.append(ChartPoint((low + high) / 2, [*boards].index(name), label, link, x_ends=(low, high)))
    return ranks


def _rank_charts(ranks: Mapping[str, list[ChartPoint]]) -> Charts:
    """Draw the ranks that an entry's methods may have on every board."""
    caption = (
        "The ranks that its methods may have, from paired tests, as shares of the way down each board; of many "
        f"the best {MOST}."
    )
    axis = ChartAxis("from first (0) to last (100), %", ends=(0.0, 100.0))
    points = tuple(point for points in ranks.values() for point in points[:MOST])
    chart = Chart("Ranks on every board", axis, ChartAxis(names=tuple(ranks)), (Series("methods", points),))
    return Charts(caption, (chart,))


def _list_page(
    group: str,
    facts: Mapping[str, EntryFacts],
    results: Mapping[str, list[tuple[Cell, ...]]],
    presets: Mapping[str, list[Entry]],
    sparklines: Mapping[str, str],
) -> Page:
    """Make the list of a group's entries; `sparklines` maps names to paths of small pictures."""
    rows = tuple(
        (
            *entry.cells(f"{group}s/{name}.html"),
            Cell(entry.family),
            Cell(f"{len(results.get(name, [])):,}", float(len(results.get(name, [])))),
            *([Cell(", ".join(preset.name for preset in presets.get(name, [])) or NONE)] if presets else []),
        )
        for name, entry in facts.items()
    )
    columns = (*texts(group, "what it is", "formula", "family"), *numbers("results on boards"))
    columns += texts("in other libraries") if presets else ()
    count_text = counted(len(facts), group)
    table = Table(count_text, columns, rows, is_filtered=True)
    return Page(
        f"{group}s.html",
        f"{group.capitalize()}s",
        f"The {count_text} of the catalogue, with formulas.",
        "entries.html",
        {"group": group, "symbols": SYMBOLS[group], "table": table, "small": [*sparklines.items()]},
        f"{group}s.html",
        tables={"": table},
    )


def _drawing(site_path: str, drawn: Mapping[str, Path]) -> SiteFile | None:
    """Return the picture at a path of the site; None if `drawn`, the files of pictures by these paths, has none."""
    path = drawn.get(site_path)
    return None if path is None else SiteFile(site_path, path.read_bytes, digest_in(_content(path)) or UNDRAWN)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _entry_page(
    facts: EntryFacts,
    presets: list[Entry],
    results: list[tuple[Cell, ...]],
    ranks: dict[str, list[ChartPoint]],
    picture: Picture | None,
    *,
    has_docs: bool,
) -> Page:
    """Make the page of one entry. It shows the best results on each board; its files have all."""
    entry = facts.entry
    calls = (f"{preset.name} {preset.meta.get('calls') or ''}" for preset in presets)
    columns = (*texts("protocol", "method"), *numbers("rank", "of"), *texts("alike", "score", "result", "not ranked"))
    shown = _best_of_each(results)
    caption = f"Results of {entry.name}"
    is_cut = len(shown) < len(results)
    shown_caption = f"{caption}: of {len(results):,} the best {MOST} of each board" if is_cut else caption
    tables = {
        "results": Table(caption, columns, tuple(results), head=1) if results else None,
        "numbers": Table("Numbers and their defaults", texts("number", "default"), facts.parameters),
        "presets": facts.presets,
    }
    return Page(
        f"{entry.group}s/{entry.name}.html",
        entry.name,
        entry.line,
        "entry.html",
        {
            "entry": entry,
            "facts": facts,
            "symbols": SYMBOLS[entry.group],
            "picture": picture,
            "ranks": laid_out(_rank_charts(ranks)) if ranks else None,
            "docs": f"docs/catalogue/{entry.group}/{entry.name}.html" if has_docs else None,
            **tables,
            "results": Table(shown_caption, columns, tuple(shown), head=1) if results else None,
        },
        f"{entry.group}s.html",
        tables={name: table for name, table in tables.items() if table is not None},
        kind=entry.group,
        words=" ".join((facts.formula, *facts.aliases, *calls, *facts.sources)),
    )


def _best_of_each(rows: Sequence[tuple[Cell, ...]]) -> list[tuple[Cell, ...]]:
    """Select the first five table rows of each board, whose name is in the first cell.

    >>> len(_best_of_each([(Cell("a"),)] * 7 + [(Cell("b"),)]))
    6
    """
    counts: Counter[str] = Counter()
    selected = []
    for row in rows:
        counts[row[0].text] += 1
        if counts[row[0].text] <= MOST:
            selected.append(row)
    return selected
