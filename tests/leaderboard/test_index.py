"""Records that are lines of a study's shards: read as files are, and missed where a shard is lost or altered."""

from __future__ import annotations

import hashlib
import lzma
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from sgbench.errors import InputError
from sgbench.leaderboard.board import build, check, show
from sgbench.leaderboard.store.stored import (
    HEADER,
    INDEX,
    AnotherRecordError,
    LinePlace,
    StoredRecords,
    read_index,
    write_index,
)
from sgbench.leaderboard.store.tree import RecordTree, add
from sgbench.records.record import RunRecord
from sgbench.study_runner.store import Store, StoreEntry
from tests.leaderboard.factory import ToyReferences, method, record, write_board_record, write_run
from tests.messages import lines_naming
from tests.site.boards import sources_of, texts

REFERENCES = ToyReferences()
SHARD = "study/toy/B-000.jsonl.xz"
BOARD = [record(seed=seed, accuracy=0.8 + seed / 100) for seed in (0, 1)]
OTHER = [record(seed=seed, of=method(surrogate="triangle")) for seed in (0, 1)]


def refer(root: Path, records: Iterable[RunRecord]) -> None:
    """Store records in a shard of study `toy`, and name its lines in the index of their board."""
    store = Store(root / "study" / "toy", "toy")
    store.append("B", [StoreEntry("B", "T", {}, each) for each in records], study_sha256="0" * 64)
    places = {}
    for entry in store.entries():
        assert entry.place is not None
        shard, line, sha256 = entry.place
        places[entry.record.method_id, entry.record.seed] = LinePlace(f"study/toy/{shard}", line, sha256)
    folder = root / "leaderboards" / "toy_v1"
    folder.mkdir(parents=True, exist_ok=True)
    write_index(folder, places)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout whose board has two rows: one of lines, one of files."""
    folder = tmp_path_factory.mktemp("checkout")
    refer(folder, BOARD)
    for each in OTHER:
        write_board_record(folder / "leaderboards", each)
    build(tree(folder))
    return folder


@pytest.fixture
def root(tmp_path: Path, checkout: Path) -> Path:
    """A copy of it."""
    return shutil.copytree(checkout, tmp_path, dirs_exist_ok=True)


def tree(root: Path) -> RecordTree:
    """The boards of a checkout."""
    return RecordTree(root / "leaderboards", "leaderboards", REFERENCES)


def reasons(root: Path) -> dict[str, str]:
    """What `board check` complains of, by path."""
    _, findings = check(root / "leaderboards", references=REFERENCES)
    return {str(Path(each.path).relative_to(root)): each.reason for each in findings}


def test_lines_make_the_board_that_files_make(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Must match: boards, measured rows and table.csv; the page links the row's folder, or the index."""
    plain = tmp_path_factory.mktemp("plain")
    for each in (*BOARD, *OTHER):
        write_board_record(plain / "leaderboards", each)
    build(tree(plain))
    assert show(tree(root)).boards == show(tree(plain)).boards
    table, page = Path("leaderboards/toy_v1/table.csv"), Path("leaderboards/toy_v1/table.md")
    assert (root / table).read_bytes() == (plain / table).read_bytes()
    name = BOARD[0].method_id
    assert (root / page).read_text() == (plain / page).read_text().replace(f"(records/{name}/)", f"({INDEX})")
    assert f"(records/{name}/)" in (plain / page).read_text()
    assert reasons(root) == {}


def test_a_lost_shard_is_one_finding(root: Path) -> None:
    """Two records are lost with it, the row of files stays, and the tables are stale."""
    (root / SHARD).unlink()
    found = reasons(root)
    assert lines_naming(found.pop(SHARD), "2 records", "toy_v1")
    assert set(found) == {f"leaderboards/toy_v1/{name}" for name in ("table.md", "table.csv", "board.png")}
    assert [row.surrogate for row in show(tree(root)).boards[0].rows] == ["triangle(width_fwhm=1)"]


def test_an_altered_line_is_found(root: Path) -> None:
    """A better accuracy, still a valid record, in a shard that unpacks: its hash tells; the other counts."""
    path = root / SHARD
    lines = lzma.decompress(path.read_bytes()).replace(b'"accuracy":0.81', b'"accuracy":0.99')
    path.write_bytes(lzma.compress(lines))
    reason = reasons(root)[SHARD]
    assert lines_naming(reason, "line 2", INDEX, "1 records", "toy_v1")
    (row,) = (row for row in show(tree(root)).boards[0].rows if row.surrogate.startswith("atan"))
    assert list(row.scores) == [0]


def test_a_record_is_a_line_or_a_file_and_not_both(root: Path) -> None:
    """The file counts, and the second place is named."""
    path = write_board_record(root / "leaderboards", BOARD[0])
    ((place, reason),) = reasons(root).items()
    assert place == str(path.relative_to(root))
    assert lines_naming(reason, INDEX, "remove one")


def test_adding_knows_what_is_a_line(root: Path) -> None:
    """The same run again is there already; another record of it is refused and nothing is written."""
    boards = root / "leaderboards"
    write_run(root / "same", BOARD[0])
    write_run(root / "other", record(seed=1, accuracy=0.5))
    write_run(root / "new", record(seed=2, accuracy=0.5))
    done = add([root / "same", root / "other", root / "new"], boards, references=REFERENCES)
    assert [Path(path).name for path in done.already_there] == ["0.json"]
    assert [Path(path).name for path in done.added] == ["2.json"]
    assert "another record" in done.refused[0].reason
    files = sorted(path.name for path in boards.glob(f"toy_v1/records/{BOARD[0].method_id}/*"))
    assert files == ["2.json"]


def test_records_of_a_board_are_opened_wherever_they_are(root: Path) -> None:
    """Rows, seeds and records of both kinds; what is nowhere is None; removed lines are gone from the index."""
    stored = StoredRecords(root / "leaderboards" / "toy_v1")
    mine, theirs = BOARD[0].method_id, OTHER[0].method_id
    assert stored.rows() == sorted([mine, theirs])
    assert stored.seeds(mine) == stored.seeds(theirs) == [0, 1]
    assert [stored.record(mine, 1), stored.record(theirs, 0)] == [BOARD[1], OTHER[0]]
    assert stored.record(mine, 2) is None
    with pytest.raises(AnotherRecordError):
        stored.add(mine, record(seed=0, accuracy=0.1))
    stored.remove(mine, 0)
    stored.remove(theirs, 0)
    assert (stored.seeds(mine), stored.seeds(theirs)) == ([1], [1])
    assert list(read_index(stored.folder)) == [(mine, 1)]
    stored.remove(mine, 1)
    assert not (stored.folder / INDEX).exists()


@pytest.mark.parametrize(
    "line",
    [
        "0123456789ab,0,/etc/passwd-000.jsonl.xz,1,{hash}",
        "0123456789ab,0,study/../../toy-000.jsonl.xz,1,{hash}",
        "0123456789ab,0,study/toy/../B-000.jsonl.xz,1,{hash}",
        "0123456789ab,0,study/toy/B-000.jsonl.xz,0,{hash}",
        "0123456789ab,-1,study/toy/B-000.jsonl.xz,1,{hash}",
        "../records,0,study/toy/B-000.jsonl.xz,1,{hash}",
        "0123456789ab,0,study/toy/B-000.jsonl.xz,1,0",
        "0123456789ab,0,study/toy/B-000.jsonl.xz,1,{hash}\n0123456789ab,0,study/toy/B-000.jsonl.xz,2,{hash}",
    ],
)
def test_an_index_names_lines_of_studies_and_nothing_else(root: Path, line: str) -> None:
    """A finding about the index; the records that are files still count."""
    path = root / "leaderboards" / "toy_v1" / INDEX
    path.write_text(f"{HEADER}\n{line.format(hash='0' * 64)}\n")
    with pytest.raises(InputError):
        read_index(path.parent)
    boards = show(tree(root))
    assert [each.path for each in boards.findings] == [str(path)]
    assert [row.surrogate for row in boards.boards[0].rows] == ["triangle(width_fwhm=1)"]


def test_a_line_of_another_run_is_misplaced(root: Path) -> None:
    """An index that gives a row the line of another row, with its right hash."""
    folder = root / "leaderboards" / "toy_v1"
    places = read_index(folder)
    first = places[BOARD[0].method_id, 0]
    write_index(folder, {("0" * 12, 0): first})
    (said,) = show(tree(root)).findings
    assert "misplaced" in said.reason


def test_links_are_not_followed(root: Path) -> None:
    """A shard that is a link to a file elsewhere is not read."""
    path = root / SHARD
    shutil.move(path, root / "elsewhere.xz")
    path.symlink_to(root / "elsewhere.xz")
    assert SHARD in reasons(root)


def test_the_site_writes_such_records_out(root: Path) -> None:
    """The page of the row links a file with the bytes that a record's file has; of files it names the path."""
    found = texts(sources_of(root / "leaderboards"))
    name = BOARD[0].method_id
    path = f"methods/toy_v1/{name}/0.json"
    assert RunRecord.model_validate_json(found[path]) == BOARD[0]
    assert f'href="../../{path}"' in found[f"methods/toy_v1/{name}.html"]
    other = OTHER[0].method_id
    assert f"leaderboards/toy_v1/records/{other}/0.json" in found[f"methods/toy_v1/{other}.html"]
    assert f"methods/toy_v1/{other}/0.json" not in found


def test_the_hash_is_of_the_line(root: Path) -> None:
    """Expected: SHA-256 of the line without its end, by hashlib."""
    lines = lzma.decompress((root / SHARD).read_bytes()).splitlines()
    places = read_index(root / "leaderboards" / "toy_v1")
    assert len(places) == 2
    for place in places.values():
        assert place.sha256 == hashlib.sha256(lines[place.line - 1]).hexdigest()
