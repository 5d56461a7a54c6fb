"""Pictures of boards: what they show, from which table they say they are, and files that a stranger made."""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import random
import signal
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

from sgbench.errors import InputError, SgbenchError
from sgbench.leaderboard import board as boards
from sgbench.leaderboard import contents
from sgbench.leaderboard.board import build, check, show
from sgbench.leaderboard.pages import picture as pictures
from sgbench.leaderboard.pages.picture import digest, picture_of, png, read_digest, stale
from sgbench.leaderboard.rows import Board
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.plots.board import MAX_ROWS, board_figure
from sgbench.plots.chart import Estimate
from tests.leaderboard.factory import ToyReferences, method, record, write_board_record
from tests.messages import raises_naming

REFERENCES = ToyReferences()


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Two methods of two seeds."""
    for number in (1, 2):
        of = method(parameters={"surrogate": {"width_fwhm": float(number)}})
        for seed in range(2):
            write_board_record(tmp_path, record(seed=seed, accuracy=0.9 - 0.01 * number, of=of))
    return show(RecordTree(tmp_path, "leaderboards", REFERENCES)).boards[0]


def test_what_a_picture_shows(board: Board) -> None:
    """By hand: 89 and 88 % in both seeds, not told apart, and half a wrong answer as the least error."""
    shown = picture_of(board)
    assert [row.mean.value for row in shown.rows] == pytest.approx([89.0, 88.0])
    assert [row.seeds for row in shown.rows] == [pytest.approx((89.0, 89.0)), pytest.approx((88.0, 88.0))]
    assert [row.rank for row in shown.rows] == ["1-2 a", "1-2 a"]
    assert [row.failed for row in shown.rows] == [(), ()]
    assert shown.least_error == 50 / board.test_samples[0]
    assert shown.guess == pytest.approx(100 * board.measure.guess)
    interval = board.rows[0].costs.energies[board.targets[0].name].dynamic_nj
    assert interval is not None
    assert shown.rows[0].energies[0] == Estimate(interval.value, interval.low, interval.high)


def test_names_are_whole(board: Board) -> None:
    """Expected: every word of the longest name and of the longest settings that a committed board has."""
    name = "snntorch/fast_sigmoid(normalisation=raw, slope=25)"
    choices = (
        "event_bins(form=count), mlp(bias=true), none, shared_mask(rate=0.15), se_adlif, leaky_readout(beta=0.716531, "
        "input_gain=one_minus_beta), sum_over_time, uniform, adam(lr=0.01, weight_decay=0), constant, 1.5"
    )
    row = replace(picture_of(board).rows[0], name=name, choices=choices)
    assert row.label.split() == f"{name} {choices}".split()


def test_a_long_board_is_cut_and_says_so(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: as many rows as fit, and the number of all methods in the title."""
    many = replace(board, rows=board.rows * MAX_ROWS)
    assert len(picture_of(many).rows) == MAX_ROWS
    monkeypatch.setattr("sgbench.plots.board.MAX_ROWS", 1)
    monkeypatch.setattr(pictures, "MAX_ROWS", 1)
    for shown, title in ((board, "first 1 of 2 methods"), (replace(board, rows=board.rows[:1]), "")):
        figure = board_figure(picture_of(shown))
        assert title in figure.texts[0].get_text()
        assert len(figure.axes[0].get_yticks()) == 1
    assert "methods" not in figure.texts[0].get_text()


def test_a_digest_is_read_back(board: Board) -> None:
    """Pillow reads it as the picture's description; must differ: another table's."""
    opened = Image.open(io.BytesIO(png(picture_of(board), table_csv="a,b\n")))
    opened.load()  # checks the sums of all chunks
    assert opened.text["Description"] == digest("a,b\n") != digest("a,c\n")


@pytest.mark.slow
def test_a_large_tree_is_built_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board) -> None:
    """Must match: all three files, and they are not stale."""
    [built], _ = build(RecordTree(tmp_path, "leaderboards", REFERENCES))
    alone = [Path(name).read_bytes() for name in built.files]
    monkeypatch.setattr(contents, "MANY", 1)
    monkeypatch.setattr(boards, "MANY_ROWS", 2)
    monkeypatch.setattr(contents, "processors", lambda: 2)
    [again], _ = build(RecordTree(tmp_path, "leaderboards", REFERENCES))
    assert [Path(name).read_bytes() for name in again.files] == alone
    assert check(tmp_path, references=REFERENCES)[1] == ()
    assert read_digest(Path(again.files[2])) == digest(alone[1].decode())


def test_drawing_that_was_ended_is_an_error_of_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, board) -> None:
    """As when the system takes back memory: no picture, and no process left."""
    monkeypatch.setattr(boards, "MANY_ROWS", 2)
    monkeypatch.setattr(contents, "processors", lambda: 2)
    monkeypatch.setattr(pictures, "board_figure", lambda _: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(SgbenchError, match="process that draws"):
        build(RecordTree(tmp_path, "leaderboards", REFERENCES))
    assert not multiprocessing.active_children()
    assert not (tmp_path / board.protocol.name / "board.png").exists()


def chunk(kind: bytes, content: bytes, *, sum_is_right: bool = True) -> bytes:
    """A chunk of a PNG."""
    check_sum = zlib.crc32(kind + content) ^ (0 if sum_is_right else 1)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check_sum)


def png_of(*chunks: bytes, size: int = 1) -> bytes:
    """A PNG by hand, with these chunks behind its head."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + pixels


TEXT = b"Description\0" + digest("a").encode()
PIXELS = b"Comment\0" + hashlib.sha256(struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0) + b"\0\0").hexdigest().encode()


def packed_zeros(millions: int) -> bytes:
    """Millions of zeros as zlib packs them: after a full flush each million becomes the same bytes."""
    packer, million = zlib.compressobj(9), bytes(1_000_000)
    first, again = (packer.compress(million) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    check_sum = (1_000_000 * millions % 65_521 << 16) + 1  # Adler's, of zeros
    return first + again * (millions - 1) + b"\x03\x00" + check_sum.to_bytes(4, "big")


BOMB = b"Description\0\0" + packed_zeros(200)


OTHER, CHANGED = "drawn from another table", "changed after it was drawn"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(png_of(chunk(b"tEXt", TEXT), chunk(b"tEXt", PIXELS)), None, id="by_hand"),
        pytest.param(png_of(chunk(b"tEXt", TEXT, sum_is_right=False)), OTHER, id="wrong_sum"),
        pytest.param(png_of(), OTHER, id="no_text"),
        pytest.param(png_of(chunk(b"tEXt", b"Comment\0" + digest("a").encode())), OTHER, id="other_keyword"),
        pytest.param(png_of(chunk(b"tEXt", TEXT)), CHANGED, id="no_pixels"),
        pytest.param(png_of(chunk(b"tEXt", TEXT), chunk(b"tEXt", PIXELS), size=2), CHANGED, id="another_size"),
        pytest.param(png_of(chunk(b"tEXt", TEXT), size=2**31 - 1), CHANGED, id="huge"),
        pytest.param(png_of(*[chunk(b"tEXt", TEXT)] * 2, chunk(b"tEXt", PIXELS)), OTHER, id="two_texts"),
        pytest.param(png_of(chunk(b"zTXt", BOMB)), OTHER, id="text_bomb"),
        pytest.param(png_of(*[chunk(b"tEXt", b"k%d\0" % n + bytes(90_000)) for n in range(40)]), OTHER, id="texts"),
        pytest.param(b"GIF89a\x01\0\x01\0\0\0\0;", OTHER, id="another_kind"),
    ],
)  # fmt: skip
def test_what_a_stranger_hands_in(tmp_path: Path, data: bytes, said: str | None) -> None:
    """Expected: stale, and nothing raised or warned of; the first, made by the standard's text alone, is right."""
    path = tmp_path / "board.png"
    path.write_bytes(data)
    assert stale(path, table_csv="a") == said


def test_pixels_that_unpack_to_more_than_a_board_has_are_not_unpacked(tmp_path: Path) -> None:
    """A bomb of 400 MB in 400 kB: it is called changed, whatever it says of itself."""
    path = tmp_path / "board.png"
    rows = packed_zeros(400)
    assert zlib.decompress(packed_zeros(3)) == bytes(3_000_000)
    texts = chunk(b"tEXt", TEXT) + chunk(b"tEXt", PIXELS)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + texts + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    assert stale(path, table_csv="a") == CHANGED


@pytest.mark.one_in(8)
@pytest.mark.parametrize("way", ["painted", "recoloured", "flipped", "cut", "padded"])
def test_a_picture_that_was_changed_is_found(way: str, tmp_path: Path, board: Board) -> None:
    """Must match: the picture as it was drawn. Pillow paints, and keeps all texts."""
    path, whole = tmp_path / "board.png", png(picture_of(board), table_csv="a")
    path.write_bytes(whole)
    assert stale(path, table_csv="a") is None
    picture = Image.open(io.BytesIO(whole))
    texts = PngImagePlugin.PngInfo()
    for key, value in picture.text.items():
        texts.add_text(key, value)
    if way in ("painted", "recoloured"):
        if way == "painted":
            picture.putpixel((5, 5), (picture.getpixel((5, 5)) + 1) % 256)
        else:
            picture.putpalette(bytes(reversed(picture.getpalette())))
        picture.save(path, pnginfo=texts)
    else:
        bent = bytearray(whole)
        bent[len(bent) // 2] ^= 1
        path.write_bytes({"flipped": bytes(bent), "cut": whole[:-40], "padded": whole + b"x"}[way])
    assert stale(path, table_csv="a") == (CHANGED if way in ("painted", "recoloured") else OTHER)


@pytest.mark.slow
def test_no_damage_raises(tmp_path: Path, board: Board) -> None:
    """Fuzz: bytes changed, cut out or put in anywhere near the beginning give a digest, another, or none."""
    path, whole, generator = tmp_path / "board.png", png(picture_of(board), table_csv="a"), random.Random(0)  # noqa: S311 - damage, no secrets
    for _ in range(600):
        data = bytearray(whole[:2000])
        for _ in range(generator.randint(1, 4)):
            place = generator.randrange(200)
            piece = generator.randbytes(generator.randint(0, 6))
            data[place : place + generator.randint(0, 6)] = piece
        path.write_bytes(bytes(data[: generator.randint(0, 2000)]))
        assert stale(path, table_csv="a") in (OTHER, CHANGED)


def test_no_file_is_an_error_of_one_line(tmp_path: Path) -> None:
    """Expected: the path, by name."""
    with raises_naming(InputError, "board.png", "regular file"):
        read_digest(tmp_path / "board.png")
    assert stale(tmp_path / "board.png", table_csv="a") == "a regular file is needed"
