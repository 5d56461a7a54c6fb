"""Builds the page of each protocol, and the list of all."""

import shlex
from collections.abc import Iterator, Sequence

from registry.site.protocol_charts import board_maps, cost_charts, protocol_charts
from registry.site.render import Download, Page, SiteFile, address, svg
from registry.site.sources import Sources, method_path, plain, protocol_path
from sgbench.composition.overrides import seed_override
from sgbench.leaderboard.deviation import experiment_of
from sgbench.leaderboard.pages.brief import row_table
from sgbench.leaderboard.pages.checked import cannot_rank, checked_text, seeds_outside, too_few, without_rows
from sgbench.leaderboard.pages.sections import statements
from sgbench.leaderboard.pages.table import to_csv, to_json
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.statistics.rank_places import ABOUT_LETTERS
from sgbench.tables import NONE, counted, ranges
from sgbench.tables.table import DIGITS, Cell, Table, number, numbers, texts


def boards_page(sources: Sources) -> Page:
    """Return the page that lists all boards."""
    columns = (*texts("protocol", "task"), *numbers("methods", "records"), *texts("first", "score compared"))
    rows = [_line(board) for board in sources.boards]
    table = Table("One line a protocol", columns, tuple(rows), is_filtered=len(rows) > 1)
    return Page(
        "boards.html",
        "Boards",
        "Every protocol with its methods, and what is first on it.",
        "boards.html",
        {"table": table},
        "boards.html",
        tables={"": table} if rows else {},
    )


def _line(board: Board) -> tuple[Cell, ...]:
    """Return a board's cells in the list of all boards."""
    records = sum(len(row.scores) for row in (*board.shown, *board.retired))
    return (
        Cell(board.protocol.name, link=protocol_path(board.protocol.name), is_code=True),
        Cell(board.protocol.about),
        number(len(board.rows), f"{len(board.rows):,}"),
        number(records, f"{records:,}"),
        _first_cell(board),
        Cell("loss, less is better" if board.measure.is_loss else "accuracy"),
    )


def _first_cell(board: Board) -> Cell:
    """Name the first row of a board, or say why there is none."""
    if not board.rows:
        return Cell(without_rows(board))
    if too_few(board):
        return Cell(too_few(board).partition(":")[0].lower())
    row = board.rows[0]
    unit = "" if board.measure.is_loss else " %"
    text = f"{row.label}: {board.measure.summary(row.score)}{unit}"
    return Cell(text, link=method_path(board.protocol.name, row.method_id))


def protocol_files(board: Board, sources: Sources) -> Iterator[Page | SiteFile]:
    """Yield the files of a board: its values as CSV and JSON, its badge, and its page."""
    name = board.protocol.name
    values = to_csv(board, digits=DIGITS)
    stem = f"protocols/{name}"
    yield SiteFile(f"{stem}.csv", values.encode)
    yield SiteFile(f"{stem}.json", lambda: to_json(board, digits=DIGITS).encode())
    yield SiteFile(f"{stem}.badge.svg", lambda: _badge(board))
    yield _page(board, sources)


def _badge(board: Board) -> bytes:
    label, count_text = board.protocol.name, counted(len(board.rows), "method")
    left, right = 7 * len(label) + 12, 7 * len(count_text) + 12
    return svg("badge.svg", label=label, text=count_text, left=left, right=right)


def _page(board: Board, sources: Sources) -> Page:
    """Return the page of a board."""
    name = board.protocol.name
    kind = "losses, less is better" if board.measure.is_loss else "accuracies"
    return Page(
        protocol_path(name),
        name,
        f"The board of {name}: {counted(len(board.rows), 'method')} compared by {kind}.",
        "protocol.html",
        {
            "board": board,
            "doubts": [doubt for doubt in (too_few(board), cannot_rank(board)) if doubt],
            "empty": "" if board.rows else without_rows(board),
            "ranked": _rows(board, board.rows, f"Methods ranked on {name}"),
            "parts": _parts(board),
            "costs": cost_charts(board),
            "charts": protocol_charts(board, sources),
            "maps": board_maps(board, sources),
            "about_letters": ABOUT_LETTERS,
            "statements": [plain(own) for _, own in statements(board) if own],
            "common": board.common,
            "command": run_command(board, sources),
            "settings": _settings(board),
            "badge": f"protocols/{name}.badge.svg",
        },
        "boards.html",
        (Download("CSV", f"protocols/{name}.csv"), Download("JSON", f"protocols/{name}.json")),
        kind="board",
        words=board.protocol.about,
    )


def run_command(board: Board, sources: Sources) -> str:
    """Write the command that runs the protocol's reference method with all its seeds."""
    name, seeds = board.protocol.name, board.protocol.seeds
    experiment = experiment_of(name, sources.references.config_dirs)
    first = "" if experiment is None else f"experiment={experiment} "
    return f"sgbench run -m {first}protocol={shlex.quote(name)} {seed_override(seeds)}"


def _settings(board: Board) -> Table:
    """Return the table of what the protocol fixes."""
    protocol = board.protocol
    lines: list[tuple[str, object]] = [
        ("time step, ms", f"{1000 * protocol.dt_s:g}"),
        ("steps", protocol.steps),
        ("hidden neurons", ", ".join(map(str, protocol.hidden)) if protocol.hidden else NONE),
        ("epochs", protocol.epochs),
        ("samples a batch", protocol.batch_size),
        ("epochs without progress before a stop", NONE if protocol.patience is None else protocol.patience),
        ("selected by", protocol.monitor.replace("_", " ")),
        ("precision", protocol.precision),
        ("seeds", ranges(protocol.seeds)),
        ("fixed", ", ".join(f"{group}={choice}" for group, choice in protocol.fixed.items()) or NONE),
        ("free", ", ".join(protocol.free) or NONE),
        ("superseded by", protocol.superseded_by or NONE),
    ]
    rows = tuple((Cell(name), Cell(str(value))) for name, value in lines)
    return Table("What the protocol fixes", texts("setting", "value"), rows)


def _parts(board: Board) -> list[tuple[str, str, Table]]:
    """List (title, sentence, table) of each part of a board without ranks that has rows."""
    parts = []
    if board.claimed:
        about = "Handed in and not repeated with success, or a check failed: all of it is a claim."
        parts.append(("Claimed, and not repeated", about, _unranked(board, board.claimed)))
    if board.baselines:
        about = "Networks without spikes: what the task takes without them."
        parts.append(("Baselines without spikes", about, _unranked(board, board.baselines)))
    if board.outsiders:
        about = "Results of code outside the catalogue, scored from their predictions."
        parts.append(("Code outside the catalogue", about, _outsiders(board)))
    if board.retired:
        about = "Kept and shown, not ranked; the reason stands on the page of each."
        parts.append(("Withdrawn and superseded", about, _unranked(board, board.retired)))
    return parts


def _unranked(board: Board, rows: Sequence[MethodRow]) -> Table:
    return _rows(board, rows, f"Methods of {board.protocol.name} without a rank")


def _rows(board: Board, rows: Sequence[MethodRow], caption: str) -> Table:
    name = board.protocol.name
    return row_table(board, rows, caption=caption, link_of=lambda row: method_path(name, row.method_id))


def _outsiders(board: Board) -> Table:
    """Return the table of results from code outside the catalogue."""
    columns = (*texts("name", "code", "checked"), *numbers(board.measure.title), *texts("seeds"))
    rows = []
    for outsider in board.outsiders:
        submission, notice = outsider.provenance.submission, outsider.provenance.notice
        checked = (
            checked_text(outsider.provenance, outside=True) if notice is None else f"{notice.kind}: {notice.reason}"
        )
        code = None if submission is None else address(submission.code)
        line = (
            Cell(outsider.method_id if submission is None else submission.name),
            Cell(NONE if code is None else code, link=code),
            Cell(checked),
            Cell(board.measure.summary(outsider.score), outsider.score.mean),
            Cell(seeds_outside(outsider)),
        )
        rows.append(line)
    return Table(f"Results from outside on {board.protocol.name}", columns, tuple(rows))
