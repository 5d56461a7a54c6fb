"""Builds the pages of text: energy validation, reproductions, methodology, how to submit, and retired rows."""

from collections.abc import Iterator

from registry.site.render import Page, SiteFile
from registry.site.reproductions import reproductions_of
from registry.site.sources import Sources, method_path, plain, protocol_path
from sgbench.energy.price import load_targets
from sgbench.energy.text import amount, marked, scope_of
from sgbench.energy.validate import EnergyVerdict, load_cases, predictions_of, validate
from sgbench.leaderboard.pages.sections import evidence, statements
from sgbench.plots.energy_terms import measured_charts
from sgbench.plots.layout import laid_out
from sgbench.records.submission import Notice
from sgbench.reproduction.figures import FIGURES, read_results
from sgbench.statistics.rank_places import ABOUT_LETTERS
from sgbench.tables import NONE
from sgbench.tables.table import Cell, Table, numbers, texts

STATISTICS = Table(
    "Statistics of a board",
    texts("what", "how", "source"),
    tuple(
        (Cell(what), Cell(how), Cell(source))
        for what, how, source in (
            (
                "interval of a mean",
                "Student's t over seeds; it covers training noise on one fixed test set",
                "Student 1908",
            ),
            (
                "difference of two methods",
                "t-test paired by seed, Welch's where fewer than two seeds are shared",
                "Student 1908, Welch 1947",
            ),
            ("many pairs", "Holm's correction over all pairs of a board, at 5 %", "Holm 1979"),
            (
                "rank",
                "an interval: from one plus the methods that are better to all less those that are worse",
                "Mogstad et al. 2024",
            ),
            ("letters (alike)", ABOUT_LETTERS, "Demšar 2006"),
            (
                "several tasks",
                "interquartile mean with a bootstrap within tasks, Friedman's test and Nemenyi's distance",
                "Agarwal et al. 2021, Demšar 2006",
            ),
            ("tuning", "expected best of so many settings, chosen on validation", "Dodge et al. 2019"),
        )
    ),
)
"""The statistics of a board, each with its source."""


MEASURED_CAPTION = (
    "Each prediction as a multiple of what was measured; whiskers are the ends of the prices. A prediction holds "
    "where these meet the measurement's own interval."
)


def text_pages(sources: Sources) -> Iterator[Page | SiteFile]:
    yield from _energy(sources)
    yield _reproductions(sources)
    yield _methodology(sources)
    about = "From a run of your own to a row on a board, in four commands."
    yield Page("submit.html", "How to submit", about, "submit.html", {"protocol": "digits_v1"}, "submit.html")
    yield _retired(sources)


def _energy(sources: Sources) -> Iterator[Page | SiteFile]:
    """Yield the page on energy: price lists, and how they predict published measurements."""
    folders = sources.references.config_dirs
    targets = load_targets(folders, everything=True)
    verdicts = sorted(validate(load_cases(folders), targets), key=lambda verdict: verdict.inside)
    inside = sum(verdict.inside for verdict in verdicts)
    columns = (
        *texts("holds", "case", "what", "target", "predicted", "measured"),
        *numbers("predicted over measured"),
        *texts("likely missing"),
    )
    table = Table(
        f"{inside} of {len(verdicts)} predictions hold; those that fail come first",
        columns,
        tuple(_verdict_cells(verdict) for verdict in verdicts),
        head=2,
        is_filtered=True,
    )
    rows = tuple(
        (
            Cell(name, is_code=True),
            Cell(target.title),
            Cell(scope_of(target).replace("_", " ")),
            Cell(marked(target)),
            Cell("yes" if target.on_boards else "no"),
            Cell("; ".join(target.missing) or target.unpriced or NONE),
        )
        for name, target in sorted(targets.items())
    )
    head = texts("target", "what it is", "scope of prices", "weakest evidence", "on boards", "left out")
    prices = Table("Price lists", head, rows, is_filtered=True)
    yield Page(
        "energy.html",
        "Energy",
        "Published measurements against what the price lists predict, failing ones first.",
        "energy.html",
        {
            "table": table,
            "chart": laid_out(measured_charts(predictions_of(verdicts), MEASURED_CAPTION)),
            "targets": prices,
            "prices": [
                plain(sentence) for target in targets.values() if target.on_boards for sentence in evidence(target)
            ],
        },
        "energy.html",
        tables={"": table, "price lists": prices},
    )


def _verdict_cells(verdict: EnergyVerdict) -> tuple[Cell, ...]:
    """Make the cells of one measurement: whether the prediction holds, and both energies."""
    return (
        Cell("yes" if verdict.inside else "no"),
        Cell(verdict.case, is_code=True),
        Cell(verdict.label),
        Cell(verdict.target, is_code=True),
        Cell(amount(verdict.predicted_nj, verdict.per), verdict.predicted_nj.value),
        Cell(amount(verdict.measured_nj, verdict.per), verdict.measured_nj.value),
        Cell(f"{verdict.ratio:.3g}", verdict.ratio),
        Cell(verdict.why or NONE),
    )


def _reproductions(sources: Sources) -> Page:
    """Build the page of reproductions; without a checkout it says that there are none."""
    found = [] if sources.docs is None else read_results(sources.docs / "reproductions" / FIGURES)
    reproductions = reproductions_of(found) if found else None
    return Page(
        "reproductions.html",
        "Reproductions",
        "Published figures and ours, those that do not agree first, each with its reasons.",
        "reproductions.html",
        {"found": reproductions, "chart": None if reproductions is None else laid_out(reproductions.charts)},
        "reproductions.html",
        tables={} if reproductions is None else {"": reproductions.table},
    )


def _methodology(sources: Sources) -> Page:
    """Return the page on methods, with each statement of the boards once."""
    places = {  # of the sentences that hold on every board
        plain(common): place
        for board in sources.boards
        for place, (common, _) in enumerate(statements(board))
        if common
    }
    return Page(
        "methodology.html",
        "Methodology",
        "How a number gets onto a board, and what the intervals, ranks and energies mean.",
        "methodology.html",
        {"statistics": STATISTICS, "statements": sorted(places, key=lambda sentence: places[sentence])},
        "methodology.html",
        tables={"statistics": STATISTICS},
    )


def _retired(sources: Sources) -> Page:
    """Build the page of rows with a notice: those of methods first, then those of code outside the catalogue."""
    columns = texts("protocol", "method", "what", "by", "why", "since")
    rows = []
    for shown in sources.shown.values():
        notice = None if shown.row.listing is None else shown.row.listing.provenance.notice
        if notice is not None:
            name, by = shown.board.protocol.name, notice.superseded_by
            title = Cell(shown.row.label, link=method_path(name, shown.row.method_id), is_code=True)
            link = method_path(name, by) if by in sources.shown and by is not None else None
            rows.append(_notice_cells(name, title, notice, link))
    for board in sources.boards:
        for outsider in board.outsiders:
            notice, submission = outsider.provenance.notice, outsider.provenance.submission
            if notice is not None:
                title = Cell(outsider.method_id if submission is None else submission.name)
                rows.append(_notice_cells(board.protocol.name, title, notice, None))
    table = Table("Withdrawn and superseded methods", columns, tuple(rows), head=1) if rows else None
    return Page(
        "retired.html",
        "Withdrawn and superseded",
        "Methods that stay in the store and no longer count, with the reason of each.",
        "retired.html",
        {"table": table},
        "retired.html",
        tables={} if table is None else {"": table},
    )


def _notice_cells(protocol: str, title: Cell, notice: Notice, successor_link: str | None) -> tuple[Cell, ...]:
    """Return a notice's cells in the table of withdrawn rows."""
    return (
        Cell(protocol, link=protocol_path(protocol), is_code=True),
        title,
        Cell(notice.kind),
        Cell(notice.superseded_by or NONE, link=successor_link, is_code=True),
        Cell(notice.reason),
        Cell(notice.created_utc),
    )
