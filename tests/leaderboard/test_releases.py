"""Releases: the same bytes twice, whole by their own records, refused where a stranger changed one."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from registry.__main__ import main as keep
from registry.release_command import pack_release
from sgbench.cli.main import main
from sgbench.errors import InputError
from sgbench.leaderboard.contents import FILE, read_shipped
from sgbench.leaderboard.releases import verify as room
from sgbench.leaderboard.releases.make import MANIFEST, ReleaseHeading, release_files, row_changes
from sgbench.leaderboard.releases.verify import fetch_release, folder_of, unpack_release, verify_release
from sgbench.records.release import EarlierRelease, Release, ReleasedRow
from tests.messages import lines_naming

DIGITS = Path(__file__).resolve().parents[2] / "leaderboards" / "digits_v1"
HEADING = ReleaseHeading("2026.12", "a" * 40, "2026-12-01T00:00:00+00:00", "0.1.0")
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A leaderboards folder with one board, which has records as files, a submission and an audit."""
    root = tmp_path_factory.mktemp("release") / "leaderboards"
    shutil.copytree(DIGITS, root / "digits_v1")
    return root


@pytest.fixture(scope="module")
def files(boards: Path) -> Files:
    """The files of its release."""
    return release_files(boards, HEADING)


@pytest.fixture(scope="module")
def path(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its archive."""
    path = tmp_path_factory.mktemp("archive") / "release.zip"
    path.write_bytes(pack_release("2026.12", files))
    return path


def packed(files: Files, path: Path) -> Path:
    """An archive whose manifest names these files by their hashes, as a forger would write it."""
    manifest = json.loads(files[MANIFEST])
    manifest["files"] = [
        {"path": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in sorted(files.items())
        if name != MANIFEST
    ]
    path.write_bytes(pack_release("2026.12", files | {MANIFEST: json.dumps(manifest).encode()}))
    return path


def row(**values: object) -> ReleasedRow:
    """A ranked row of a board."""
    tree: dict[str, object] = {"protocol": "digits_v1", "method_id": "a" * 12, "method": "atan"}
    tree |= {"part": "ranked", "rank": (1, 3), "score": 0.9}
    return ReleasedRow.model_validate(tree | values)


def test_a_release_is_whole_and_the_same_twice(boards: Path, files: Files, path: Path) -> None:
    """By hand: 8 rows and 40 records of digits_v1; the hashes are those of hashlib."""
    again = pack_release("2026.12", release_files(boards, HEADING))
    assert path.read_bytes() == again
    release = unpack_release(path, sha256=hashlib.sha256(again).hexdigest())
    assert verify_release(release) == []
    assert len(release.manifest.rows) == 8
    assert len(files["rows.csv"].splitlines()) == 9
    assert len(files["records.csv"].splitlines()) == 1 + len([*DIGITS.glob("records/*/*.json")])
    assert f"{DIGITS.parent.name}/digits_v1/table.csv" in release.files
    with pytest.raises(InputError, match=r"is [0-9a-f]{64} and not 00"):
        unpack_release(path, sha256="00")


def test_cards_name_the_release(files: Files) -> None:
    """What Zenodo, a citation and Croissant need, by their specifications."""
    zenodo, croissant = json.loads(files[".zenodo.json"]), json.loads(files["croissant.json"])
    assert {"title", "upload_type", "description", "creators", "license"} <= zenodo.keys()
    assert (zenodo["version"], zenodo["publication_date"]) == ("2026.12", "2026-12-01")
    assert 'version: "2026.12"\ndate-released: 2026-12-01' in files["CITATION.cff"].decode()
    assert croissant["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    for stated in croissant["distribution"]:
        assert stated["sha256"] == hashlib.sha256(files[stated["contentUrl"]]).hexdigest()
    (rows, _) = croissant["recordSet"]
    assert [field["name"] for field in rows["field"]] == files["rows.csv"].decode().partition("\n")[0].split(",")
    assert {field["name"]: field["dataType"] for field in rows["field"]}["score"] == "sc:Float"


def test_difference_since_the_release_before() -> None:
    """By hand: one row moved, one is withdrawn, one is new, one stays; a row that is gone counts as withdrawn."""
    before = [row(), row(method_id="b" * 12), row(method_id="c" * 12), row(method_id="e" * 12)]
    after = [
        row(),
        row(method_id="b" * 12, score=0.8, rank=(2, 4)),
        row(method_id="c" * 12, part="retired", rank=None),
        row(method_id="d" * 12, part="claimed", rank=None),
    ]
    found = [(change.kind, change.method_id[0], change.said) for change in row_changes(before, after)]
    assert found == [
        ("moved", "b", "rank 1 to 3, 0.9; then rank 2 to 4, 0.8"),
        ("withdrawn", "c", "was rank 1 to 3, 0.9"),
        ("new", "d", "claimed, 0.9"),
        ("withdrawn", "e", "was rank 1 to 3, 0.9"),
    ]


@pytest.mark.slow
def test_the_difference_is_verified_too(boards: Path, files: Files, tmp_path: Path) -> None:
    """After a release of a single row that is gone since: eight new, one withdrawn, told by the archive alone."""
    since = EarlierRelease(name="2026.11", sha256="0" * 64, rows=(row(method_id="f" * 12),))
    later = release_files(boards, replace(HEADING, since=since))
    kinds = [change.kind for change in Release.model_validate_json(later[MANIFEST]).changes]
    assert sorted(kinds) == ["new"] * 8 + ["withdrawn"]
    assert b"| withdrawn | digits_v1 | ffffffffffff |" in later["README.md"]
    path = tmp_path / "later.zip"
    path.write_bytes(pack_release("2026.12", later))
    assert [found.path for found in verify_release(unpack_release(path))] == []


FORGERIES: dict[str, Callable[[Files], Files]] = {
    "leaderboards/digits_v1/table.csv": lambda files: _swapped(files, "leaderboards/digits_v1/table.csv", b"0.93"),
    "rows.csv": lambda files: _swapped(files, "rows.csv", b"0.93"),
    "croissant.json": lambda files: _swapped(files, "croissant.json", b"sc:Float"),
    "manifest.json": lambda files: _swapped(files, MANIFEST, b'"score": 0.93'),
}


def _swapped(files: Files, name: str, old: bytes) -> Files:
    """One file in which a part reads otherwise."""
    assert old in files[name]
    return files | {name: files[name].replace(old, old[:-1] + (b"8" if old[-1:].isdigit() else b"x"), 1)}


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", FORGERIES)
def test_what_records_do_not_give_is_named(name: str, files: Files, tmp_path: Path) -> None:
    """Each hash in the manifest is right; the records say otherwise."""
    forged = unpack_release(packed(FORGERIES[name](files), tmp_path / "forged.zip"))
    assert name in {found.path for found in verify_release(forged)}


def test_a_changed_file_is_named_by_its_hash(files: Files, tmp_path: Path) -> None:
    """Changed, left out, and one more than the manifest names."""
    record = next(name for name in files if "/records/" in name)
    path = tmp_path / "spoilt.zip"
    for spoilt, said in (
        (files | {record: files[record] + b" "}, "is not what the manifest names"),
        ({name: data for name, data in files.items() if name != record}, "is not in it"),
        (files | {"more.txt": b""}, "does not name 'more.txt'"),
    ):
        path.write_bytes(pack_release("2026.12", spoilt))
        with pytest.raises(InputError, match=said):
            unpack_release(path)


def member(name: str, data: bytes = b"", mode: int = stat.S_IFREG | 0o644, **changes: object) -> bytes:
    """A zip archive with one member that no release has."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
        for key, value in changes.items():
            setattr(info, key, value)
        archive.writestr(info, data)
    return out.getvalue()


INSIDE = folder_of("1")
HOSTILE = {
    "a link": (member(f"{INSIDE}/a", b"/etc/passwd", stat.S_IFLNK | 0o777), "is a link"),
    "a device": (member(f"{INSIDE}/a", mode=stat.S_IFCHR | 0o666), "is a link"),
    "outside": (member("../a"), "outside the folder"),
    "absolute": (member("/etc/a"), "outside the folder"),
    "another folder": (member("a/b"), "outside the folder"),
    "another method": (member(f"{INSIDE}/a", compress_type=zipfile.ZIP_LZMA), "another method"),
    "too large": (member(f"{INSIDE}/a", bytes(3000)), "more than 0 MiB"),
    "no zip": (b"PK\x03\x04 and no more", "not a readable zip"),
    "nothing": (b"", "not a readable zip"),
    "no manifest": (member(f"{INSIDE}/a"), "manifest.json"),
    "a manifest of nonsense": (member(f"{INSIDE}/{MANIFEST}", b'{"name": "../x"}'), "manifest.json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archives_are_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is written."""
    data, said = HOSTILE[name]
    monkeypatch.setattr(room, "MAX_FILE_BYTES", 2000)
    path = tmp_path / "hostile.zip"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said) as caught:
        unpack_release(path)
    assert "\n" not in str(caught.value)
    assert [*tmp_path.iterdir()] == [path]


def test_bombs_and_doubles_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small files that are too much together, too many, and one name twice in another spelling."""
    path = tmp_path / "bomb.zip"
    path.write_bytes(pack_release("1", {f"a{place}": bytes(600) for place in range(5)}))
    monkeypatch.setattr(room, "MAX_PLAIN_BYTES", 2000)
    with pytest.raises(InputError, match="unpacks to more than"):
        unpack_release(path)
    monkeypatch.setattr(room, "MAX_FILES", 4)
    with pytest.raises(InputError, match="more than 4"):
        unpack_release(path)
    path.write_bytes(pack_release("1", {"a": b"", "A": b""}))
    with pytest.raises(InputError, match="stands twice"):
        unpack_release(path)


@pytest.mark.parametrize("name", ["../a", "leaderboards/../../a", "/a", "a//b", "leaderboards/./a"])
def test_a_manifest_names_no_place_elsewhere(name: str, files: Files, tmp_path: Path) -> None:
    """Though hash and size are right."""
    with pytest.raises(InputError, match=r"manifest\.json"):
        unpack_release(packed(files | {name: b"x"}, tmp_path / "elsewhere.zip"))


@pytest.mark.slow
def test_update_takes_a_newer_release(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its boards answer then; an older one, the same again, and one with another hash are refused."""
    kept = tmp_path / "data" / FILE
    monkeypatch.setenv("SGBENCH_REGISTRY", str(kept))
    monkeypatch.chdir(tmp_path)
    assert main(["board", "update", str(path), "--sha256", "0" * 64]) == 2
    assert not kept.exists()
    assert main(["board", "update", str(path)]) == 0
    assert lines_naming(capsys.readouterr().out, "2026.12", "2026-12-01", "aaaaaaaaaaaa", "1 boards", "8 rows")
    assert read_shipped(kept).release == "2026.12"
    assert main(["board", "show", "--protocol", "digits_v1"]) == 0
    assert "release 2026.12" in capsys.readouterr().err
    assert main(["board", "update", str(path)]) == 2
    assert lines_naming(capsys.readouterr().err, "2026.12", "newer")
    assert main(["board", "update", "https://example.org/release.zip"]) == 2
    assert "--sha256 is needed" in capsys.readouterr().err
    for address in ("http://example.org/a.zip", "file:///etc/passwd", "ftp://example.org/a"):
        with pytest.raises(InputError, match="begins with https"):
            fetch_release(address, tmp_path / "a.zip")


@pytest.mark.parametrize(
    "address",
    [
        "https://[::1",
        "https://a.b/c\nd",
        "https://a.b/\x1b[2J",
        "https://",
        "https://a.b:c",
        "https://ä.b/c",
        "https://a.b/c d",
    ],
)
def test_an_address_that_is_none_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In one printable line, before anything is asked; no traceback."""
    assert main(["board", "update", address, "--sha256", "0" * 64]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "https://" in line


def git(folder: Path, *words: str) -> None:
    """One command by nobody in particular."""
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *words]
    subprocess.run(command, check=True, capture_output=True)


@pytest.mark.slow
def test_release_is_of_a_commit(boards: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Made twice with an hour between by the clock: the same bytes; refused while something is not committed."""
    root, first, second = tmp_path / "leaderboards", tmp_path / "1.zip", tmp_path / "2.zip"
    shutil.copytree(boards, root)
    words = ["release", "1", "--root", str(root), "--to"]
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-qm", "nothing", "--allow-empty")
    assert keep([*words, str(first)]) == 2
    assert "not committed" in capsys.readouterr().err
    git(tmp_path, "add", "leaderboards")
    git(tmp_path, "commit", "-qm", "boards")
    assert keep([*words, str(first)]) == 0
    assert keep([*words, str(second)]) == 0
    assert first.read_bytes() == second.read_bytes()
    assert main(["board", "verify-release", str(first)]) == 0
    assert "8 rows, 0 problems" in capsys.readouterr().out
    assert keep(["release", "2", "--root", str(root), "--since", str(first), "--to", str(second)]) == 0
    assert main(["board", "verify-release", str(second), "--json"]) == 0
    assert keep(["release", "../2", "--root", str(root)]) == 2
