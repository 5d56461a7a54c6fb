"""Collects the numbers that the picture of a board shows, and draws it."""

import hashlib
import importlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sgbench.errors import InputError
from sgbench.leaderboard.families import AcrossTasks, Tuned
from sgbench.leaderboard.pages.columns import rank_text
from sgbench.leaderboard.rows import Board, MethodRow
from sgbench.leaderboard.score import Measure
from sgbench.plots import style
from sgbench.plots.board import MAX_ROWS, BoardPicture, BoardRow, EnergyColumn, board_figure
from sgbench.plots.board_charts import MeanRanks, PerformanceProfile, TuningCurve
from sgbench.plots.chart import Estimate
from sgbench.records.files import read_bytes
from sgbench.statistics.across_tasks import performance_profile

KEYWORD, PIXELS = "Description", "Comment"
"""Keywords of the PNG's texts that hold the digest of the table and that of the pixels."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_PIXEL_BYTES = 2**27
Chunks = list[tuple[bytes, bytes]]
"""Kind and content of each chunk of a PNG."""


def digest(table_csv: str) -> str:
    """Hash a board's table; its picture contains this digest, to show from which table it was drawn."""
    return hashlib.sha256(table_csv.encode()).hexdigest()


def _with_pixel_digest(data: bytes) -> bytes:
    """Insert the digest of its pixels into a PNG, before them."""
    chunks = _chunks(data)
    text = (b"tEXt", f"{PIXELS}\0{_pixels_digest(chunks)}".encode())
    index = [kind for kind, _ in chunks].index(b"IDAT")
    return SIGNATURE + b"".join(_encode_chunk(*chunk) for chunk in [*chunks[:index], text, *chunks[index:]])


def read_digest(path: Path) -> str | None:
    """Return the digest of the table inside a picture, or None if it carries none or is no picture."""
    return _text(_chunks(read_bytes(path)), KEYWORD)


def stale(path: Path, *, table_csv: str) -> str | None:
    """Explain why a picture was not drawn from the table `table_csv`, or return None if it was."""
    try:
        chunks = _chunks(read_bytes(path))
    except InputError as error:
        return str(error).removeprefix(f"{path}: ")
    if _text(chunks, KEYWORD) != digest(table_csv):
        return "drawn from another table"
    pixels = _pixels_digest(chunks)
    return None if pixels is not None and _text(chunks, PIXELS) == pixels else "changed after it was drawn"


def _chunks(data: bytes) -> Chunks:
    """Read the kind and content of each chunk of a PNG; an empty list if it is incomplete or a checksum is wrong."""
    if not data.startswith(SIGNATURE):
        return []
    chunks: Chunks = []
    offset = len(SIGNATURE)
    while offset + 12 <= len(data):  # a chunk is a length (4 bytes), kind (4), content, and checksum (4)
        (length,) = struct.unpack_from(">I", data, offset)
        kind, content = data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]
        offset += 12 + length
        if offset > len(data) or data[offset - 4 : offset] != struct.pack(">I", zlib.crc32(kind + content)):
            return []
        chunks.append((kind, content))
    is_whole = offset == len(data) and chunks and chunks[0][0] == b"IHDR" and chunks[-1][0] == b"IEND"
    return chunks if is_whole else []


def _encode_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _text(chunks: Chunks, keyword: str) -> str | None:
    """Return the text that a PNG has under a keyword; None if it has none, or several."""
    prefix = f"{keyword}\0".encode()
    texts = [content for kind, content in chunks if kind == b"tEXt" and content.startswith(prefix)]
    return texts[0].removeprefix(prefix).decode("latin1") if len(texts) == 1 else None


def _pixels_digest(chunks: Chunks) -> str | None:
    """Hash header, palette and unpacked pixels of a PNG; None if they are damaged, or larger than any board's."""
    unpacking = zlib.decompressobj()
    try:
        packed = b"".join(content for kind, content in chunks if kind == b"IDAT")
        rows = unpacking.decompress(packed, MOST_PIXEL_BYTES)
    except zlib.error:
        return None
    palette = b"".join(content for kind, content in chunks if kind == b"PLTE")
    return hashlib.sha256(chunks[0][1] + palette + rows).hexdigest() if unpacking.eof else None


MAX_GROUPS = 4  # letters beside a rank
LEAST_LOSS = 1e-12
USUAL_SAMPLES = 1000  # of a test set whose size no record states


def load() -> None:
    """Import the drawing library, so that a later picture starts at once."""
    for name in ("figure", "layout_engine", "style", "ticker", "backends.backend_agg"):
        importlib.import_module(f"matplotlib.{name}")


def png(picture: BoardPicture, *, table_csv: str) -> bytes:
    """Draw the picture of a board as a PNG that carries the digests of the table `table_csv` and of its pixels."""
    return _with_pixel_digest(style.encode(lambda: board_figure(picture), ".png", texts={KEYWORD: digest(table_csv)}))


def picture_of(board: Board) -> BoardPicture:
    """Collect the numbers that the picture of a board shows: accuracies in %, or losses."""
    unit = 1.0 if board.measure.is_loss else 100.0
    # The smallest error that differs from none: half of one wrong answer.
    least = LEAST_LOSS if board.measure.is_loss else 50.0 / max(board.test_samples, default=USUAL_SAMPLES)
    return BoardPicture(
        title=board.protocol.name,
        rows=tuple(_row(row, board, unit) for row in board.rows[:MAX_ROWS]),
        methods=len(board.rows),
        targets=tuple(EnergyColumn(target.name, bool(target.missing)) for target in board.targets),
        baselines=tuple((row.surrogate, unit * row.score.mean) for row in board.baselines),
        is_loss=board.measure.is_loss,
        least_error=least,
        guess=unit * board.measure.guess,
    )


def _row(row: MethodRow, board: Board, unit: float) -> BoardRow:
    """Collect the numbers of one row; scores are multiplied by `unit`."""
    energies = (row.costs.energies[target.name].dynamic_nj for target in board.targets)
    return BoardRow(
        name=row.surrogate,
        choices=", ".join(row.varying.values()),
        rank=_rank(row),
        mean=board.measure.estimate(row.score),
        seeds=tuple(unit * score for seed, score in row.scores.items() if seed not in row.failed_seeds),
        failed=tuple(unit * score for seed, score in row.scores.items() if seed in row.failed_seeds),
        spikes=row.costs.spikes.value,
        energies=tuple(
            None if energy is None else Estimate(energy.value, energy.low, energy.high) for energy in energies
        ),
    )


def _rank(row: MethodRow) -> str:
    groups = "" if row.rank is None else row.rank.groups[:MAX_GROUPS]
    return f"{rank_text(row).replace(' to ', '-')} {groups}".strip()


def tuning_curves(families: Sequence[Tuned], measure: Measure) -> list[TuningCurve]:
    """Convert each family's expected test scores over the settings tried: accuracies to %, losses unchanged."""
    unit = 1 if measure.is_loss else 100

    def scaled(scores: Sequence[float]) -> tuple[float, ...]:
        return tuple(unit * score for score in scores)

    return [
        TuningCurve(
            family.name, scaled(family.expected_test), scaled(family.expected_low), scaled(family.expected_high)
        )
        for family in families
    ]


def profiles(across: AcrossTasks) -> list[PerformanceProfile]:
    """Compute for each family the share of runs [%] above each score that occurs, from the lowest score to 1."""
    lowest = min(float(scores.min()) for family in across.families for scores in family.tasks)
    axis_ends = min(lowest, 0.9) - 0.02, 1.0  # common to all curves
    curves = []
    for family in across.families:
        steps = np.unique(np.concatenate([axis_ends, *family.tasks]))
        curves.append(PerformanceProfile(family.name, steps, 100 * performance_profile(family.tasks, steps)))
    return curves


def mean_ranks(across: AcrossTasks) -> MeanRanks | None:
    """Collect the mean ranks of families for their picture; None with one task or one family."""
    if across.ranks is None:
        return None
    by_name = {family.name: family.mean_rank for family in across.families if family.mean_rank is not None}
    return MeanRanks(by_name, across.ranks.critical_difference, len(across.tasks))
