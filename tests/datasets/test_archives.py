"""Archives that are unpacked: what is in them, and those that mean harm."""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from sgbench.datasets.formats import archives
from sgbench.datasets.formats.archives import unpack
from sgbench.errors import InputError


def zipped(**members: bytes) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return found.getvalue()


def tarred(members: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return found.getvalue()


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zip_link() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as archive:
        info = zipfile.ZipInfo("inside")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return found.getvalue()


def zip_that_lies() -> bytes:
    """Declares one byte and holds a thousand."""
    data = bytearray(zipped(**{"a.bin": b"1" * 1000}))
    for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + offset
        data[place : place + 4] = (1).to_bytes(4, "little")
    return bytes(data)


def bomb() -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bin", b"0" * 3_000_000)
    return found.getvalue()


GOOD = tarred([(tarfile.TarInfo("x/a.bin"), b"1")])
LONG = tarred(
    [(tarfile.TarInfo("x/a.bin"), b"".join(hashlib.sha256(bytes([n % 256, n >> 8])).digest() for n in range(3000)))]
)
HOSTILE = {
    "up": (zipped(**{"..__up.bin": b"1"}), r"member '\.\./up\.bin' leads out of the folder"),
    "deep up": (zipped(**{"x__..__..__up.bin": b"1"}), r"leads out of the folder"),
    "absolute": (zipped(**{"__sgbench_up.bin": b"1"}), r"member '/sgbench_up\.bin' leads out"),
    "drive": (zipped(**{"C:up.bin": b"1"}), r"leads out of the folder"),
    "backslash": (zipped(**{"..\\up.bin": b"1"}), r"leads out of the folder"),
    "zip link": (zip_link(), r"member 'inside' is a link or a device"),
    "zip lies": (zip_that_lies(), r"(damaged|larger than it declares)"),
    "bomb": (bomb(), r"unpacks to more than 0\.001 GB"),
    "tar up": (tarred([(tarfile.TarInfo("../up.bin"), b"1")]), r"leads out of the folder"),
    "tar absolute": (tarred([(tarfile.TarInfo("/sgbench_up.bin"), b"1")]), r"leads out of the folder"),
    "symlink": (tarred([(link("x", tarfile.SYMTYPE, "/etc"), b"")]), r"member 'x' is a link or a device"),
    "hard link": (tarred([(link("x", tarfile.LNKTYPE, "../up"), b"")]), r"is a link or a device"),
    "device": (tarred([(link("x", tarfile.CHRTYPE, ""), b"")]), r"is a link or a device"),
    "cut zip": (zipped(x__a=b"1" * 3000)[:-30], r"neither a zip nor a tar file"),
    "cut tar": (LONG[: len(LONG) // 2], r"(damaged|neither a zip nor)"),
    "page": (b"<html>404</html>", r"neither a zip nor a tar file"),
    "empty": (b"", r"neither a zip nor a tar file"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_hostile_archive_changes_nothing(tmp_path, how):
    """Expected: one line; the folder is as it was, and nothing lies beside or above it."""
    folder = tmp_path / "in" / "folder"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"mine")
    data, complaint = HOSTILE[how]
    archive = tmp_path / "archive"
    archive.write_bytes(data)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=complaint) as caught:
        unpack(archive, folder, most_bytes=1_000_000)
    assert "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (folder / "a.bin").read_bytes() == b"mine"
    assert not Path("/sgbench_up.bin").exists()


def test_good_archives_are_unpacked(tmp_path):
    """Must match: the same checks let plain files through, in zip and tar, over older ones."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.bin").write_bytes(b"old")
    for number, data in enumerate((GOOD, zipped(**{"x__a.bin": b"2"}))):
        (tmp_path / "archive").write_bytes(data)
        assert unpack(tmp_path / "archive", tmp_path, most_bytes=10) == ["x/a.bin"]
        assert (tmp_path / "x" / "a.bin").read_bytes() == str(number + 1).encode()


def test_too_many_files_are_refused(tmp_path, monkeypatch):
    """Expected: a limit of files as of bytes."""
    monkeypatch.setattr(archives, "MOST_FILES", 2)
    (tmp_path / "archive").write_bytes(zipped(a=b"1", b=b"1", c=b"1"))
    with pytest.raises(InputError, match="or 2 files"):
        unpack(tmp_path / "archive", tmp_path, most_bytes=10)
