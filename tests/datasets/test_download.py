"""Downloads from a server on this machine: whole, resumed, cut, wrong, empty."""

from __future__ import annotations

import errno
import gzip
import hashlib
import http.server
import io
import json
import os
import re
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from pydoc import locate
from typing import Any, ClassVar

import pytest
import yaml

from registry.__main__ import main as registry
from sgbench.cli.main import main
from sgbench.composition import catalogue
from sgbench.datasets import download
from sgbench.datasets.base import sizes
from sgbench.datasets.download import CHECKSUMS, fetch
from sgbench.datasets.event_files import EventFiles, FileToFetch, present
from sgbench.datasets.fashion_mnist import FashionMnist
from sgbench.datasets.idx_images import FILES, IdxImages
from sgbench.datasets.mnist import Mnist
from sgbench.datasets.shd import Shd
from sgbench.errors import InputError, StorageError
from tests.datasets import original_formats as formats
from tests.datasets.fakes import fake_idx_images
from tests.messages import lines_naming, missing, raises_naming

GB = 10**9


class Server(http.server.BaseHTTPRequestHandler):
    """Serves bytes by path, with ranges; can stop half-way, ignore ranges or send nothing."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[str | None]] = []
    mode: ClassVar[str] = "ranges"
    first_mode: ClassVar[str | None] = None  # of /first/, which serves the same files otherwise

    def do_GET(self) -> None:
        self.mode = (self.path.startswith("/first/") and self.first_mode) or type(self).mode
        data = self.files.get(self.path.removeprefix("/first"))
        if data is not None and self.mode == "wrong":
            data = bytes(len(data))
        if data is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.mode != "whole" else 0
        if wanted and self.mode != "whole":
            if first >= len(data):
                self.send_error(416)
                return
            self.send_response(206)
            place = first + 1 if self.mode == "elsewhere" else first
            self.send_header("Content-Range", f"bytes {place}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        sent = data[first:]
        self.send_header("Content-Length", str(0 if self.mode == "nothing" else len(sent)))
        self.end_headers()
        if self.mode == "cut":
            sent = sent[: len(sent) // 2]
        self.wfile.write(b"" if self.mode == "nothing" else sent)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a running server."""
    monkeypatch.setattr(Server, "files", {})
    monkeypatch.setattr(Server, "asked", [])
    monkeypatch.setattr(Server, "mode", "ranges")
    monkeypatch.setattr(Server, "first_mode", None)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def md5_of(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def zipped(**members: bytes) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return found.getvalue()


class Toy(EventFiles):
    """Two files in an archive."""

    name = "toy"
    folder = "toy"
    by_hand = "put a.bin and b.bin into the folder toy"
    sizes = sizes(1, 1, 1)

    def originals(self, root: Path) -> list[str]:
        return present(root, ["x/a.bin", "x/b.bin"], self.remedy)

    def recordings(self, root: Path) -> Any:
        raise NotImplementedError


PACKED = zipped(x__a=b"", **{"x__a.bin": b"1" * 3000, "x__b.bin": b"2" * 10})


@pytest.fixture
def toy(url: str, monkeypatch: pytest.MonkeyPatch) -> Toy:
    Server.files["/toy.zip"] = PACKED
    md5 = md5_of(PACKED)
    monkeypatch.setattr(Toy, "downloads", (FileToFetch(f"{url}/toy.zip", "toy.zip", md5, GB),))
    return Toy()


def test_fetches_compares_and_unpacks(toy, tmp_path):
    """Expected: the members' bytes, both checksums on record, no archive and no part left."""
    assert lines_naming(toy.missing(tmp_path), "a.bin")
    assert "sgbench data download toy" in toy.missing(tmp_path)
    (line,) = fetch(toy, tmp_path)
    assert missing(line, "toy.zip", "0.0 MB", "md5", hashlib.sha256(PACKED).hexdigest()[:12], "3 files") == []
    assert (tmp_path / "toy" / "x" / "b.bin").read_bytes() == b"2" * 10
    assert toy.missing(tmp_path) is None
    facts = json.loads((tmp_path / "toy" / CHECKSUMS).read_text())["toy.zip"]
    assert facts["sha256"] == hashlib.sha256(PACKED).hexdigest()
    assert facts["md5"] == toy.downloads[0].md5
    assert facts["bytes"] == len(PACKED)
    assert {path.name for path in (tmp_path / "toy").iterdir()} == {"x", CHECKSUMS, ".download.lock"}


@pytest.mark.parametrize("mode", ["ranges", "whole"])
def test_a_part_is_continued_or_begun_anew(toy, tmp_path, monkeypatch, mode):
    """Expected: the server is asked for the rest; one that sends all all the same is believed."""
    monkeypatch.setattr(Server, "mode", "cut")
    with raises_naming(InputError, f"{len(PACKED) // 2} of {len(PACKED)} bytes", "the same command"):
        fetch(toy, tmp_path)
    part = tmp_path / "toy" / "toy.zip.part"
    assert part.read_bytes() == PACKED[: len(PACKED) // 2]
    assert not (tmp_path / "toy" / "toy.zip").exists()
    monkeypatch.setattr(Server, "mode", mode)
    fetch(toy, tmp_path)
    assert Server.asked == [None, f"bytes={len(PACKED) // 2}-"]
    assert toy.missing(tmp_path) is None


@pytest.mark.parametrize("first", ["http://127.0.0.1:9/toy.zip", "{url}/gone.zip"])
def test_a_second_address_is_asked_where_the_first_does_not_answer(toy, url, tmp_path, monkeypatch, first):
    """Expected: the part is continued from the second, its address is on record, and its bytes are compared."""
    (old,) = toy.downloads
    moved = old._replace(url=first.format(url=url), mirrors=(old.url,))
    monkeypatch.setattr(Toy, "downloads", (moved,))
    part = tmp_path / "toy" / "toy.zip.part"
    part.parent.mkdir()
    part.write_bytes(PACKED[:9])
    fetch(toy, tmp_path)
    assert Server.asked == ["bytes=9-"]
    assert json.loads((tmp_path / "toy" / CHECKSUMS).read_text())["toy.zip"]["url"] == old.url


@pytest.mark.parametrize(
    ("mode", "part", "asked"),
    [
        ("cut", b"", [None, f"bytes={len(PACKED) // 2}-"]),
        ("elsewhere", PACKED[:9], ["bytes=9-", "bytes=9-"]),
        ("wrong", b"", [None, None]),
        ("wrong", PACKED[:9], ["bytes=9-", None, None]),
        ("nothing", b"", [None, None]),
    ],
)
def test_a_second_address_is_asked_where_the_first_sends_something_else(
    toy, url, tmp_path, monkeypatch, mode, part, asked
):
    """Expected: one command gets the file; what is right of a part is kept, what is not is asked for anew."""
    monkeypatch.setattr(Server, "first_mode", mode)
    (old,) = toy.downloads
    monkeypatch.setattr(Toy, "downloads", (old._replace(url=f"{url}/first/toy.zip", mirrors=(old.url,)),))
    if part:
        (tmp_path / "toy").mkdir()
        (tmp_path / "toy" / "toy.zip.part").write_bytes(part)
    fetch(toy, tmp_path)
    assert Server.asked == asked
    facts = json.loads((tmp_path / "toy" / CHECKSUMS).read_text())["toy.zip"]
    assert (facts["url"], facts["sha256"]) == (old.url, hashlib.sha256(PACKED).hexdigest())


@pytest.mark.parametrize("stale", [b"0" * len(PACKED), b"0" * 2 * len(PACKED), b"0" * 9])
def test_a_part_of_another_file_is_fetched_anew(toy, tmp_path, stale):
    """Expected: one command gets the file, whether or not the server says that nothing follows (416)."""
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.zip.part").write_bytes(stale)
    fetch(toy, tmp_path)
    assert Server.asked == [f"bytes={len(stale)}-", None]
    assert toy.missing(tmp_path) is None


def test_a_part_as_long_as_no_file_is_not_whole(toy, tmp_path, monkeypatch):
    """Expected: without a published MD5 the length that the server tells decides (none here, so it is asked)."""
    (old,) = toy.downloads
    monkeypatch.setattr(Toy, "downloads", (old._replace(md5=None),))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toy.zip.part").write_bytes(b"0" * 2 * len(PACKED))
    fetch(toy, tmp_path)
    assert Server.asked == [f"bytes={2 * len(PACKED)}-", None]
    assert toy.missing(tmp_path) is None


def test_no_address_that_answers_is_one_line(toy, tmp_path, monkeypatch):
    """Expected: both addresses, and what to do, each said once."""
    (old,) = toy.downloads
    gone = ("http://127.0.0.1:9/toy.zip",)
    monkeypatch.setattr(Toy, "downloads", (old._replace(url="http://127.0.0.1:9/a.zip", mirrors=gone),))
    with raises_naming(InputError, "http://127.0.0.1:9/a.zip", *gone, "refused", "the same command") as caught:
        fetch(toy, tmp_path)
    assert str(caught.value).count("the same command") == 1
    assert str(caught.value).count("the same command continues") == 1
    assert "\n" not in str(caught.value)


def test_a_part_that_is_whole_needs_nothing_more(toy, tmp_path):
    """Expected: the server says there is no more (416), and the checksum decides."""
    part = tmp_path / "toy" / "toy.zip.part"
    part.parent.mkdir()
    part.write_bytes(PACKED)
    fetch(toy, tmp_path)
    assert toy.missing(tmp_path) is None


def test_what_was_removed_is_fetched_again(toy, tmp_path):
    """Expected: a record of a download is no file."""
    fetch(toy, tmp_path)
    (tmp_path / "toy" / "x" / "a.bin").unlink()
    fetch(toy, tmp_path)
    assert toy.missing(tmp_path) is None


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("gone", r"the server answers 404 .*put a\.bin"),
        ("nothing", r"the server sends nothing; put a\.bin"),
        ("elsewhere", r"the server continues at another byte; remove .*toy\.zip\.part"),
        ("other bytes", r"toy\.zip: md5 \w{32} is not the published \w{32}; it was removed"),
        ("no server", r"refused; the same command continues; put a\.bin"),
        ("no http", r"file:///etc/passwd: http or https is needed"),
    ],
)
def test_what_goes_wrong_is_one_line(toy, tmp_path, monkeypatch, how, complaint):
    """Expected: an InputError (exit code 2); what was there is there still; no file is taken for whole."""
    kept = tmp_path / "toy" / "x" / "b.bin"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"mine")
    (old,) = toy.downloads
    if how == "gone":
        Server.files.clear()
    elif how == "other bytes":
        Server.files["/toy.zip"] = PACKED[:-1] + b"!"
    elif how == "no server":
        monkeypatch.setattr(Toy, "downloads", (old._replace(url="http://127.0.0.1:9/toy.zip"),))
    elif how == "no http":
        monkeypatch.setattr(Toy, "downloads", (old._replace(url="file:///etc/passwd"),))
    else:
        monkeypatch.setattr(Server, "mode", how)
        if how == "elsewhere":
            (tmp_path / "toy" / "toy.zip.part").write_bytes(PACKED[:9])
    with pytest.raises(InputError, match=complaint) as caught:
        fetch(toy, tmp_path)
    assert "\n" not in str(caught.value)
    assert kept.read_bytes() == b"mine"
    assert not (tmp_path / "toy" / "toy.zip").exists()
    assert toy.missing(tmp_path) is not None


def test_a_full_disk_is_one_line(toy, tmp_path, monkeypatch):
    """Expected: a StorageError (exit code 2) with the folder; the part that was fetched stays."""

    def full(*_: Any, **__: Any) -> list[str]:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(download, "unpack", full)
    with raises_naming(StorageError, "toy", "No space left on device", "free space"):
        fetch(toy, tmp_path)
    assert (tmp_path / "toy" / "toy.zip").read_bytes() == PACKED


def test_archives_in_archives(url, tmp_path, monkeypatch):
    """Expected: the inner files, and no archive left."""
    outer = zipped(**{"first.zip": zipped(**{"x__a.bin": b"1"}), "second.zip": zipped(**{"x__b.bin": b"2"})})
    Server.files["/toy.zip"] = outer
    md5 = md5_of(outer)
    monkeypatch.setattr(Toy, "downloads", (FileToFetch(f"{url}/toy.zip", "toy.zip", md5, GB),))
    (line,) = fetch(Toy(), tmp_path)
    assert line.endswith("2 files unpacked")
    assert not list((tmp_path / "toy").glob("*.zip"))


# --- the command


def test_from_the_command_to_samples(url, tmp_path, monkeypatch, capsys):
    """Expected: SHD's two files fetched, unpacked, checked and shown; a second call finds them."""
    pytest.importorskip("h5py")
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    fetched = []
    for name, speakers in (("shd_train.h5", [9] * 20 + [0] * 20), ("shd_test.h5", [4] * 20)):
        formats.heidelberg(tmp_path / name, speakers=speakers, classes=20, seed=0)
        packed = zipped(**{name: (tmp_path / name).read_bytes()})
        Server.files[f"/{name}.zip"] = packed
        fetched.append(FileToFetch(f"{url}/{name}.zip", f"{name}.zip", md5_of(packed), GB))
    monkeypatch.setattr(Shd, "downloads", tuple(fetched))
    monkeypatch.setattr(Shd, "sizes", sizes(0, 0, 20))
    monkeypatch.setattr(Shd, "recorded", {("train", "validation"): 40})
    where = ["--data-dir", str(tmp_path / "data")]
    assert main(["data", "check", "shd", *where]) == 2
    assert lines_naming(capsys.readouterr().err, "sgbench data download shd")
    assert main(["data", "download", "shd", *where]) == 0
    assert len(lines_naming(capsys.readouterr().out, "md5", "sha256", "1 files")) == 2
    assert main(["data", "check", "shd", *where]) == 0
    assert lines_naming(capsys.readouterr().out, "shd", "train 20", "validation 20", "test 20", "checksum")
    assert main(["data", "download", "shd", *where]) == 0
    assert "shd: is here already" in capsys.readouterr().out
    os.truncate(tmp_path / "data" / "SHD" / "shd_train.h5", 3000)
    assert main(["data", "check", "shd", *where]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert main(["data", "download", "digits", *where]) == 2
    assert "it needs no download" in capsys.readouterr().err


def test_mnist_is_fetched(url, tmp_path, monkeypatch, capsys):
    """Expected: four packed files, as their publisher's MD5 says, which the data set then finds."""
    fake_idx_images(tmp_path, train=20, test=10, seed=0)
    packed = {name: gzip.compress((tmp_path / name.removesuffix(".gz")).read_bytes()) for name in FILES}
    Server.files.update({f"/mnist/{name}": data for name, data in packed.items()})
    monkeypatch.setattr(Mnist, "served_at", f"{url}/mnist/")
    monkeypatch.setattr(Mnist, "file_md5", tuple(md5_of(packed[name]) for name in FILES))
    words = ["data", "download", "mnist", "--data-dir", str(tmp_path / "data")]
    assert main(words) == 0
    assert capsys.readouterr().out.count("md5 right") == 4
    assert {path.name for path in (tmp_path / "data" / "mnist").glob("*.gz")} == set(FILES)
    assert Mnist().missing(tmp_path / "data") is None
    assert main(words) == 0
    assert capsys.readouterr().out == "mnist: is here already\n"
    monkeypatch.setattr(Mnist, "file_md5", tuple(md5_of(name.encode()) for name in FILES))
    assert main([*words[:-1], str(tmp_path / "other")]) == 2
    assert "is not the published" in capsys.readouterr().err


FETCHED = sorted(
    name for name, entry in catalogue.entries("dataset").items() if getattr(locate(str(entry.target)), "downloads", ())
)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", FETCHED)
def test_a_server_that_is_not_reached_is_one_clear_line(name, tmp_path, monkeypatch, capsys):
    """Expected: where it was sought, that the command continues, and what else to do, each said once."""

    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    monkeypatch.setattr(IdxImages, "elsewhere", ())
    monkeypatch.setattr(FashionMnist, "elsewhere", ())
    assert main(["data", "download", name, "--data-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert missing(error, "://", "no route", "the same command") == []
    assert not re.search(r"\b(\w+) \1\b", error)
    assert len(FETCHED) >= 10


# --- originals that were never read here


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An entry as that of SHD, with files of 20 samples a split, packed and not."""
    pytest.importorskip("h5py")
    monkeypatch.setenv("SGBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "data" / "SHD"
    folder.mkdir(parents=True)
    fetched = []
    for name, speakers in (("shd_train.h5", [9] * 20 + [0] * 20), ("shd_test.h5", [4] * 20)):
        formats.heidelberg(folder / name, speakers=speakers, classes=20, seed=0)
        packed = zipped(**{name: (folder / name).read_bytes()})
        (folder / f"{name}.zip").write_bytes(packed)
        fetched.append(FileToFetch("http://127.0.0.1:9/", f"{name}.zip", md5_of(packed), GB))
    monkeypatch.setattr(Shd, "downloads", tuple(fetched))
    monkeypatch.setattr(Shd, "sizes", sizes(0, 0, 20))
    monkeypatch.setattr(Shd, "recorded", {("train", "validation"): 40})
    path = tmp_path / "conf" / "dataset" / "shd_own.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(catalogue.entry("dataset", "shd").path.read_text().replace("test: 2264", "test: null"))
    return path


def confirmed(tmp_path: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> tuple[Any, str]:
    """What the holder of the files says, and what the command says."""
    written = tmp_path / "found.json"
    words = ["data", "confirm", "shd_own", "--contact", "me@example.org", "--into", str(written)]
    words += ["--config-dir", str(tmp_path / "conf"), "--data-dir", str(tmp_path / "data")]
    assert main(words) == code
    return None if code else json.loads(written.read_text()), capsys.readouterr().err


def test_a_holder_confirms_and_a_maintainer_accepts(own, tmp_path, capsys):
    """Expected: sizes by hand, SHA-256 by hashlib; once accepted, the entry has them and takes no other."""
    folder = tmp_path / "data" / "SHD"
    before = yaml.safe_load(own.read_text())
    found, _ = confirmed(tmp_path, capsys)
    assert found["sizes"] == {"train": 20, "validation": 20, "test": 20}
    assert [(one["name"], one["sha256"]) for one in found["files"]] == [
        (name, hashlib.sha256((folder / name).read_bytes()).hexdigest()) for name in ("shd_train.h5", "shd_test.h5")
    ]
    assert found["downloads"] == [
        {"name": name, "md5": md5_of((folder / name).read_bytes())} for name in ("shd_train.h5.zip", "shd_test.h5.zip")
    ]
    accepting = ["accept-data", str(tmp_path / "found.json"), "--config-dir", str(tmp_path / "conf")]
    assert registry(accepting) == 0
    assert "original" in before["meta"]
    del before["meta"]["original"]
    before["meta"] |= {"sizes": found["sizes"], "sha256": found["sha256"]}
    assert yaml.safe_load(own.read_text()) == before
    capsys.readouterr()
    assert registry(accepting) == 2
    assert "has a checksum already" in capsys.readouterr().err


def test_a_holder_of_other_files_confirms_nothing(own, tmp_path, capsys, monkeypatch):
    """Expected: one line, where what was fetched is not as published, or is not known."""
    (tmp_path / "data" / "SHD" / "shd_test.h5.zip").write_bytes(b"other")
    assert lines_naming(confirmed(tmp_path, capsys, 2)[1], "md5", "shd_test.h5.zip")
    (tmp_path / "data" / "SHD" / "shd_test.h5.zip").unlink()
    line = confirmed(tmp_path, capsys, 2)[1]
    assert missing(line, "shd_test.h5.zip", "MD5", str(tmp_path / "data" / "SHD")) == []
    facts = {"shd_test.h5.zip": {"md5": Shd.downloads[1].md5}}
    (tmp_path / "data" / "SHD" / CHECKSUMS).write_text(json.dumps(facts))
    assert confirmed(tmp_path, capsys)[0]["downloads"][1]["md5"] == Shd.downloads[1].md5


ZEROS = "0" * 64
MANY = [{"name": f"a/{number}.wav", "bytes": 1, "sha256": ZEROS} for number in range(105_831)]
"""As many as Speech Commands has, the most of any entry."""


def spoil(found: dict[str, Any], how: str) -> None:
    """A confirmation with one thing wrong."""
    if how == "sizes":
        found["sizes"]["train"] = 6
    elif how == "sha256":
        found["sha256"] = ZEROS
    elif how == "sha256 of a file":
        found["files"][0]["sha256"] = ZEROS
    elif how == "a file less":
        del found["files"][1]
    elif how == "a file more":
        found["files"].append(found["files"][0] | {"name": "more.h5"})
    elif how == "order":
        found["files"].reverse()
    elif how in ("..", "absolute"):
        found["files"][0]["name"] = "/etc/a" if how == "absolute" else "a/../../shd_train.h5"
    elif how == "a file is a folder":
        found["files"].append(found["files"][0] | {"name": "shd_train.h5/more"})
    elif how == "no download":
        del found["downloads"][1]
    else:
        found["downloads"][0]["md5"] = "0" * 32


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("sizes", "26 samples of train and validation, not 40; ask me@"),
        ("sha256", "checksum 000000000000 does not follow from those of its files; ask me@"),
        ("sha256 of a file", "does not follow from those of its files"),
        ("a file less", "shd_test.h5 is not in its list of files; ask me@"),
        ("a file more", "more.h5 is no original; ask me@"),
        ("order", "its files are not in the order of the originals"),
        ("..", "a/../../shd_train.h5 is no name of a file below a folder"),
        ("absolute", "/etc/a is no name of a file below a folder"),
        ("a file is a folder", "its files cannot lie in one folder: "),
        ("no download", "md5 of shd_test.h5.zip is none, not the published"),
        ("md5", f"md5 of shd_train.h5.zip is {'0' * 32}, not the published"),
    ],
)
def test_one_claim_is_held_against_all_that_is_known(own, tmp_path, capsys, how, complaint):
    """Expected: one line and exit code 2; the entry keeps its bytes, and takes the same claim unspoilt."""
    found, _ = confirmed(tmp_path, capsys)
    before, path = own.read_bytes(), tmp_path / "spoilt.json"
    spoilt = json.loads(json.dumps(found))
    spoil(spoilt, how)
    path.write_text(json.dumps(spoilt))
    words = ["accept-data", str(path), "--config-dir", str(tmp_path / "conf")]
    assert registry(words) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1
    assert own.read_bytes() == before
    path.write_text(json.dumps(found))
    assert registry(words) == 0


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  original: never read here\n", "", "is not one of originals that were never read"),
        ("  sha256: null\n", "", "0 lines of sha256 to replace, one is needed"),
        ("  sizes: {", "  sizes:\n    {", "0 lines of sizes to replace"),
        ("  sha256: null\n", "  sha256: null\n  notes: |\n  sha256: null\n", "2 lines of sha256 to replace"),
        (
            "  sizes: {train: null, validation: null, test: null}",
            '  "sizes": {}\ndefaults:\n  sizes: 1',
            "of their own",
        ),
    ],
)
def test_an_entry_written_otherwise_is_left_alone(own, tmp_path, capsys, old, new, complaint):
    """Expected: one line and exit code 2; the entry keeps its bytes."""
    confirmed(tmp_path, capsys)
    text = own.read_text()
    assert old in text
    own.write_text(text.replace(old, new))
    before = own.read_bytes()
    words = ["accept-data", str(tmp_path / "found.json"), "--config-dir", str(tmp_path / "conf")]
    assert registry(words) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1
    assert own.read_bytes() == before


@pytest.mark.one_in(8)
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, "10 samples of train and validation, not 8156; ask me@"),
        ({"sizes": {"train": 6, "validation": 4, "test": 5}}, "5 samples of test, its file says 2264; ask me@"),
        ({"sizes": {"train": 6, "validation": 4}}, "sizes"),
        ({"sha256": "0"}, "sha256"),
        ({"dataset": "../shd"}, "dataset"),
        ({"contact": "\x1b[2J me"}, "contact"),
        ({"more": 1}, "more"),
        ({"files": MANY}, "10 samples of train and validation"),
    ],
)
def test_a_confirmation_is_data(change, complaint, tmp_path, capsys):
    """Expected: one line and exit code 2; the entry keeps its bytes."""
    sound = {
        "schema_version": 1,
        "dataset": "shd",
        "sizes": {"train": 6, "validation": 4, "test": 2264},
        "sha256": "0" * 64,
        "files": [{"name": "shd_train.h5", "bytes": 3, "sha256": "0" * 64}],
        "contact": "me@example.org",
        "created_utc": "2026-11-29T12:00:00+00:00",
    }
    path, entry = tmp_path / "found.json", catalogue.entry("dataset", "shd")
    before = entry.path.read_bytes()
    path.write_text(json.dumps(sound | change))
    assert registry(["accept-data", str(path)]) == 2
    line = capsys.readouterr().err
    assert complaint in line
    assert line.count("\n") == 1
    assert entry.path.read_bytes() == before
