"""Boards without their records: a registry gives the very boards that the records give."""

from __future__ import annotations

import lzma
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import sgbench
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard import contents as room
from sgbench.leaderboard.board import show
from sgbench.leaderboard.contents import contents_of, installed, make_shipped, pack, read_shipped
from sgbench.leaderboard.deviation import References
from sgbench.leaderboard.pages.table import to_csv, to_markdown
from sgbench.leaderboard.store.tree import RecordTree
from sgbench.records import files
from tests.messages import lines_naming, raises_naming

ROOT = Path(__file__).resolve().parents[2]
DIGITS = ROOT / "leaderboards" / "digits_v1"
REFERENCES = References()
MADE = "2026-01-01T00:00:00+00:00"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboards folder with the board of digits_v1: a submission, verifications, an audit."""
    root = tmp_path_factory.mktemp("boards")
    shutil.copytree(DIGITS, root / "digits_v1")
    return root


@pytest.fixture(scope="module")
def packed(folder: Path) -> bytes:
    """The registry of that folder."""
    return pack(make_shipped(folder, commit="a" * 40, created_utc=MADE))


@pytest.fixture
def path(packed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The registry as a user has it who works in an empty folder."""
    found = tmp_path / "data" / room.FILE
    found.parent.mkdir()
    found.write_bytes(packed)
    monkeypatch.setenv("SGBENCH_REGISTRY", str(found))
    monkeypatch.delenv("SGBENCH_RUNS", raising=False)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    return found


def test_boards_are_the_same_to_the_byte(folder: Path, path: Path) -> None:
    """Tables and pages of records against those of the registry, which is packed alike twice."""
    (of_records,) = show(RecordTree(folder, "leaderboards", REFERENCES)).boards
    (of_registry,) = show(RecordTree(path, "registry", REFERENCES)).boards
    assert of_registry == of_records
    assert to_csv(of_registry) == to_csv(of_records)
    page = to_markdown(of_registry, layout="leaderboards")
    assert page == to_markdown(of_records, layout="leaderboards")
    assert pack(read_shipped(path)) == path.read_bytes()


def test_ranked_methods_are_the_same(folder: Path, path: Path) -> None:
    """Selected by what is said of each; one that is withdrawn goes."""
    there = contents_of(RecordTree(path, "registry", REFERENCES)).ranked()["digits_v1"]
    records = contents_of(RecordTree(folder, "leaderboards", REFERENCES)).ranked()["digits_v1"]
    assert [method.scores for method in there] == [method.scores for method in records]
    assert len(there) == 8


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    "words",
    [
        ["show", "--protocol", "digits_v1"],
        ["explain", "--protocol", "digits_v1", "sigmoid", "constant"],
        ["across", "--protocol", "digits_v1"],
    ],
    ids=lambda words: words[0],
)
def test_commands_answer_in_an_empty_folder(
    words: list[str], folder: Path, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As from the records, and standard error says what answered."""
    assert main(["board", *words]) == 0
    answer = capsys.readouterr()
    assert lines_naming(answer.err, "2026-01-01", "aaaaaaaaaaaa")
    assert main(["board", *words, "--from", "leaderboards", "--root", str(folder)]) == 0
    records = capsys.readouterr()
    assert answer.out == records.out
    assert "digits_v1" in answer.out or "constant" in answer.out


@pytest.mark.slow
def test_python_reads_the_registry(path: Path) -> None:
    """Of the one board there is, in sentences and as a table; a protocol without one is named."""
    assert len(sgbench.board(root=path, layout="registry").board.rows) == 8
    assert "constant" in sgbench.explain("sigmoid", "constant", root=path, layout="registry")
    with pytest.raises(InputError, match="digits_v1"):
        sgbench.board("digits_v9", root=path, layout="registry")


@pytest.mark.slow
def test_a_folder_of_records_comes_first(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Must differ: where there are runs, or a folder is named, the registry is not asked."""
    Path("runs").mkdir()
    assert main(["board", "show"]) == 0
    assert "no board: runs holds" in capsys.readouterr().out
    assert main(["board", "show", "--from", "leaderboards"]) == 2
    assert main(["board", "show", "--from", "registry", "--protocol", "digits_v1"]) == 0
    assert main(["board", "show", "--from", "registry", "--protocol", "digits_v9"]) == 2
    assert "digits_v1" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is cut off"),
        (b"no registry", "not a readable xz file"),
        (lzma.compress(b"{}"), "is no registry: commit"),
        (lzma.compress(b'{"commit": 1, "created_utc": "", "boards": {"a": {"measured": [{}]}}}'), "is no registry"),
    ],
    ids=["empty", "other", "no fields", "no rows"],
)
def test_a_damaged_registry_is_named(data: bytes, reason: str, path: Path) -> None:
    """One line with the remedy."""
    path.write_bytes(data)
    with pytest.raises(InputError, match=reason):
        read_shipped(path)


def test_a_registry_that_unpacks_to_more_than_it_may_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two MiB of blanks where one is allowed: refused before they are all in memory."""
    monkeypatch.setattr(files, "MAX_PLAIN_BYTES", 2**20)
    path.write_bytes(lzma.compress(b" " * 2**21))
    with raises_naming(InputError, "more than 1 MiB"):
        read_shipped(path)


def test_the_newest_registry_answers(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was taken from a release, unless the package brings a later one; a checkout has its own boards."""
    package = tmp_path / "sgbench" / "leaderboard"
    package.mkdir(parents=True)
    monkeypatch.setattr(room, "__file__", str(package / "registry.py"))
    shipped, given = package.parent / room.FILE, read_shipped(path)
    shipped.write_bytes(pack(replace(given, created_utc="2025-12-31T00:00:00+00:00")))
    assert installed() == (path, "registry")
    shipped.write_bytes(pack(replace(given, created_utc="2026-01-02T00:00:00+00:00")))
    assert installed() == (shipped, "registry")
    shipped.unlink()
    path.unlink()
    assert installed() == (ROOT / "leaderboards", "leaderboards")


@pytest.mark.parametrize("how", ["cut", "zeros", "empty", "other", "newer"])
def test_a_damaged_registry_of_a_user_stops_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    """One line names it and the remedy, and the package's own boards answer, whatever its bytes are."""
    whole = path.read_bytes()
    newer = lzma.compress(lzma.decompress(whole).replace(b'"scores":{', b'"scores":{"best":{},', 1))
    spoilt = {"cut": whole[:-9], "zeros": bytes(len(whole)), "empty": b"", "newer": newer}
    path.write_bytes(spoilt.get(how, lzma.compress(b"{}")))
    monkeypatch.setattr(room, "__file__", str(path.parent / "no" / "room" / "registry.py"))
    assert installed() == (ROOT / "leaderboards", "leaderboards")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert lines_naming(said, "passed over", str(path))


@pytest.mark.slow
def test_a_wheel_brings_all_boards(tmp_path: Path) -> None:
    """Built, unpacked and asked in an empty folder, without a checkout beside it: the committed tables."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=600)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as archive:
        archive.extractall(tmp_path / "wheel")
        assert archive.getinfo(f"sgbench/{room.FILE}").file_size < 200_000
    (tmp_path / "empty").mkdir()
    environment = {"PYTHONPATH": str(tmp_path / "wheel"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}

    def said(*words: str) -> str:
        command = [sys.executable, "-m", "sgbench", *words]
        done = subprocess.run(
            command, cwd=tmp_path / "empty", env=environment, check=True, capture_output=True, text=True
        )
        return done.stdout

    names = sorted(path.parent.name for path in (ROOT / "leaderboards").glob("*/table.csv"))
    shown = said("board", "show")
    assert [name for name in names if not any(line.startswith(name) for line in shown.splitlines())] == []
    assert "gaussian" in said("board", "explain", "--protocol", "digits_v1", "gaussian", "constant")
    assert "interquartile mean" in said("board", "across", "--protocol", "randman_v2,yin_yang_v2")
    assert "surrogate" in said("recommend", "--layers", "1", "--steps", "100")
