"""Builds the pages of surrogates and neurons: formula, parameters, presets, and results on every board."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from registry.site.files import Page, Picture, SiteFile
from registry.site.pictures import SMALL_END, digest_in, size_in
from registry.site.sources import Sources, method_path, protocol_path
from sgbench.composition.catalogue import Entry
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.leaderboard.pages.columns import rank_text
from sgbench.plots.chart import Chart, ChartAxis, ChartPoint, Charts, Series
from sgbench.plots.layout import laid_out
from sgbench.tables import NONE, counted
from sgbench.tables.table import Cell, Table, number, numbers, texts

REFERENCES: dict[str, Callable[[re.Match[str]], str]] = {
    r"\$\{width_fwhm\}": lambda _: "null",
    r"\$\{unless:\$\{\.(\w+)\},(.*)\}": lambda match: f"{match[2]}, unless {match[1]} is given",
    r"\$\{decay:([\d.]+),\$\{protocol\.dt_s\}\}": lambda match: f"exp(-dt / {1000 * float(match[1]):g} ms)",
    r"\$\{protocol\.dt_s\}": lambda _: "dt",
    r"\$\{protocol\.steps\}": lambda _: "steps",
}
"""Maps patterns of interpolations in an entry's file to functions that write them as text."""
SYMBOLS = {
    "surrogate": "u is the membrane potential minus the threshold; a formula is the slope before normalisation.",
    "neuron": "I is the current, u the membrane potential before its reset, s what the neuron sends.",
}


UNDRAWN = "no digest"
"""Stands for the digest of a picture that contains none."""
MOST = 5
"""Most results of an entry on one board that its page shows; its files have all."""


def entry_files(group: str, sources: Sources) -> Iterator[Page | SiteFile]:
    known = sources.group(group)
    canonical = {name: entry for name, entry in known.items() if not is_preset(entry) and "/" not in name}
    presets: dict[str, list[Entry]] = {}
    for preset in filter(is_preset, known.values()):
        presets.setdefault(canonical_name(preset), []).append(preset)
    results, ranks = _results_of(group, sources), _ranks_of(group, sources)
    sparklines = [
        sparkline for entry in canonical.values() if (sparkline := _sparkline(entry, sources.extras.pictures))
    ]
    yield from (file for _, file in sparklines)
    yield _list_page(group, canonical, results, presets, [(name, file.path) for name, file in sparklines])
    for entry in canonical.values():
        picture = _picture(entry, sources.extras.pictures)
        if picture is not None:
            yield picture[1]
        yield _entry_page(
            entry,
            presets.get(entry.name, []),
            results.get(entry.name, []),
            ranks.get(entry.name, {}),
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
    canonical: Mapping[str, Entry],
    results: Mapping[str, list[tuple[Cell, ...]]],
    presets: Mapping[str, list[Entry]],
    sparklines: Sequence[tuple[str, str]],
) -> Page:
    rows = tuple(
        (
            Cell(name, link=f"{group}s/{name}.html", is_code=True),
            Cell(entry.line),
            Cell(str(entry.meta.get("formula") or NONE), is_code=True),
            Cell(str(entry.meta.get("family") or NONE).replace("_", " ")),
            Cell(f"{len(results.get(name, [])):,}", float(len(results.get(name, [])))),
            *([Cell(", ".join(preset.name for preset in presets.get(name, [])) or NONE)] if presets else []),
        )
        for name, entry in canonical.items()
    )
    columns = (*texts(group, "what it is", "formula", "family"), *numbers("results on boards"))
    columns += texts("in other libraries") if presets else ()
    count_text = counted(len(canonical), group)
    table = Table(count_text, columns, rows, is_filtered=True)
    return Page(
        f"{group}s.html",
        f"{group.capitalize()}s",
        f"The {count_text} of the catalogue, with formulas.",
        "entries.html",
        {"group": group, "symbols": SYMBOLS[group], "table": table, "small": sparklines},
        f"{group}s.html",
        tables={"": table},
    )


def _sparkline(entry: Entry, drawn: Mapping[str, Path]) -> tuple[str, SiteFile] | None:
    """Return an entry's name and the file of its sparkline, by its path on the site; None if `drawn` has none."""
    site_path = f"{entry.group}s/{entry.name}{SMALL_END}"
    path = drawn.get(site_path)
    if path is None:
        return None
    data = path.read_bytes() if path.is_file() else b""
    return entry.name, SiteFile(site_path, path.read_bytes, digest_in(data) or UNDRAWN)


def _picture(entry: Entry, drawn: Mapping[str, Path]) -> tuple[Picture, SiteFile] | None:
    site_path = f"{entry.group}s/{entry.name}.svg"
    path = drawn.get(site_path)
    if path is None:
        return None
    curves = "slope and primitive" if entry.group == "surrogate" else "responses to currents"
    data = path.read_bytes() if path.is_file() else b""
    file = SiteFile(site_path, path.read_bytes, digest_in(data) or UNDRAWN)
    picture = Picture(site_path, f"{curves} of {entry.name}", f"The {curves} at the defaults.", size_in(data))
    return picture, file


def _entry_page(
    entry: Entry,
    presets: list[Entry],
    results: list[tuple[Cell, ...]],
    ranks: dict[str, list[ChartPoint]],
    picture: tuple[Picture, SiteFile] | None,
    *,
    has_docs: bool,
) -> Page:
    columns = (*texts("protocol", "method"), *numbers("rank", "of"), *texts("alike", "score", "result", "not ranked"))
    shown = best_of_each(results)
    caption = f"Results of {entry.name}"
    is_cut = len(shown) < len(results)
    shown_caption = f"{caption}: of {len(results):,} the best {MOST} of each board" if is_cut else caption
    tables = {
        "results": Table(caption, columns, tuple(results), head=1) if results else None,
        "numbers": _numbers(entry),
        "presets": _presets(presets) if presets else None,
    }
    return Page(
        f"{entry.group}s/{entry.name}.html",
        entry.name,
        entry.line,
        "entry.html",
        {
            "entry": entry,
            "symbols": SYMBOLS[entry.group],
            "family": str(entry.meta.get("family") or NONE).replace("_", " "),
            "aliases": [str(alias) for alias in entry.meta.get("aliases") or []],
            "formula": str(entry.meta.get("formula") or ""),
            "sources": [str(source) for source in entry.meta.get("sources") or []],
            "picture": None if picture is None else picture[0],
            "ranks": laid_out(_rank_charts(ranks)) if ranks else None,
            "docs": f"docs/catalogue/{entry.group}/{entry.name}.html" if has_docs else None,
            **tables,
            "results": Table(shown_caption, columns, tuple(shown), head=1) if results else None,
        },
        f"{entry.group}s.html",
        tables={name: table for name, table in tables.items() if table is not None},
        kind=entry.group,
        words=" ".join(_search_words(entry, presets)),
    )


def best_of_each(rows: Sequence[tuple[Cell, ...]]) -> list[tuple[Cell, ...]]:
    """Select the first five table rows of each board, whose name is in the first cell.

    >>> len(best_of_each([(Cell("a"),)] * 7 + [(Cell("b"),)]))
    6
    """
    counts: Counter[str] = Counter()
    selected = []
    for row in rows:
        counts[row[0].text] += 1
        if counts[row[0].text] <= MOST:
            selected.append(row)
    return selected


def _search_words(entry: Entry, presets: list[Entry]) -> Iterator[str]:
    yield str(entry.meta.get("formula") or "")
    yield from (str(alias) for alias in entry.meta.get("aliases") or [])
    yield from (f"{preset.name} {preset.meta.get('calls') or ''}" for preset in presets)
    yield from (str(source) for source in entry.meta.get("sources") or [])


def _numbers(entry: Entry) -> Table:
    rows = tuple(
        (Cell(name, is_code=True), Cell(default_text(value), is_code=True)) for name, value in entry.parameters.items()
    )
    return Table("Numbers and their defaults", texts("number", "default"), rows)


def default_text(value: object) -> str:
    """Write a default of an entry's file as text, with known interpolations spelled out.

    >>> [default_text(value) for value in (None, 1.0, "${width_fwhm}", "${decay:0.010,${protocol.dt_s}}")]
    ['null', '1.0', 'null', 'exp(-dt / 10 ms)']
    >>> default_text("${unless:${.width_fwhm},2.0}"), default_text("${protocol.dt_s}")
    ('2.0, unless width_fwhm is given', 'dt')
    """
    text = "null" if value is None else str(value)
    for pattern, write in REFERENCES.items():
        match = re.fullmatch(pattern, text)
        if match is not None:
            return write(match)
    return text


def _presets(presets: list[Entry]) -> Table:
    rows = tuple(
        (
            Cell(f"{preset.meta['library']} {preset.meta.get('version', '')}".strip()),
            Cell(str(preset.meta.get("calls") or NONE), is_code=True),
            Cell(f"{preset.group}={preset.name}", is_code=True),
            Cell(str(preset.meta.get("conversion") or NONE)),
            Cell(str(preset.meta.get("bug") or NONE)),
        )
        for preset in presets
    )
    columns = texts("library", "its call", "here", "conversion", "known bug")
    return Table("The same slope in other libraries", columns, rows)
