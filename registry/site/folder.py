"""Writes the folder of a site in one step, and compares a stored site with the files that it should have."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from registry.site.pictures import digest_in
from registry.site.render import SiteFile
from sgbench.errors import InputError, StorageError
from sgbench.leaderboard.store.reading import Finding
from sgbench.records.files import parse_tree, read_bytes
from sgbench.records.unfinished import new_folder, remove_abandoned_of

MANIFEST = "site.json"
"""Name of the list of a site's files with their hashes, which marks a folder as a site of sgbench."""
KIND = "sgbench site 1"
LARGEST = 256 * 1024 * 1024  # bytes of a file that is compared
ATTEMPTS = 20  # attempts to replace a site while other builds do too


@dataclass(frozen=True)
class Written:
    """Counts the files of a site that were written."""

    files: int
    bytes: int


def write_site(into: Path, files: Iterable[SiteFile], *, has_docs: bool = False) -> Written:
    """Write a site into a temporary folder, and move it to its path in one step, replacing an earlier site.

    `into`: folder of the site, which may hold an earlier site of sgbench and nothing else. `has_docs`: whether pages
    link to documentation in docs/; the site's list of files states it.
    """
    require_ours(into)
    try:
        into.absolute().parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned_of(into.absolute())
        with new_folder(into.absolute()) as built:
            written = _fill(built, files, has_docs=has_docs)
            built.chmod(0o755)
            require_ours(into)  # again, since it may have changed
            _move_into_place(built, into.absolute())
    except OSError as error:
        reason = error.strerror or str(error)
        raise StorageError(
            f"{into} cannot be written: {reason}; free space or choose another folder with --to"
        ) from error
    return written


def _fill(folder: Path, files: Iterable[SiteFile], *, has_docs: bool) -> Written:
    """Write files into a folder, and a manifest with the hash of each."""
    hashes: dict[str, str] = {}
    size = 0
    for site_file in files:
        data = site_file.make()
        path = folder / site_file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        hashes[site_file.path] = hashlib.sha256(data).hexdigest()
        size += len(data)
    text = json.dumps({"kind": KIND, "docs": has_docs, "files": hashes}, indent=1, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    return Written(len(hashes) + 1, size + len(text))


def _move_into_place(built: Path, into: Path) -> None:
    """Move the folder of a built site to its path; of two simultaneous builds the later one remains."""
    for attempt in range(ATTEMPTS):
        with new_folder(into) as aside:
            old = aside / "old"
            with suppress(FileNotFoundError):
                into.rename(old)
            try:
                built.rename(into)
            except OSError:
                # Another build has moved its site there, or the path cannot be written.
                if attempt + 1 < ATTEMPTS and into.exists():
                    continue
                if old.exists() and not into.exists():
                    old.rename(into)
                raise
            return


def require_ours(into: Path) -> None:
    """Raise an `InputError` for a link, a file, or a folder that holds anything but an earlier site of sgbench."""
    if into.is_symlink() or (into.exists() and not into.is_dir()):
        raise InputError(f"--to {into}: is no folder; choose another name")
    if not into.is_dir() or not any(into.iterdir()):
        return
    known = listed(into)
    if known is None:
        raise InputError(f"--to {into}: holds other files and is no site; choose another folder, or empty it")
    other = next((path for path in found_in(into) if path not in known and path != MANIFEST), None)
    if other is not None:
        raise InputError(f"--to {into}: {other} is no file of the site and would be lost; move it away first")


def listed(folder: Path) -> dict[str, str] | None:
    """Map the paths in a site's list of files to their hashes; None if the folder is no site of sgbench."""
    files = _list_of(folder).get("files")
    return {str(path): str(text) for path, text in files.items()} if isinstance(files, dict) else None


def links_docs(folder: Path) -> bool:
    """Return whether the pages of a site link to documentation in docs/."""
    return _list_of(folder).get("docs") is True


def _list_of(folder: Path) -> dict[str, object]:
    try:
        tree = parse_tree(read_bytes(folder / MANIFEST, limit=LARGEST), MANIFEST)
    except InputError:
        return {}
    return tree if isinstance(tree, dict) and tree.get("kind") == KIND else {}


def found_in(folder: Path) -> list[str]:
    """List the paths of files below a folder, with slashes and sorted; links count as files."""
    present = []
    for where, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(where) / name).is_symlink()]
        present += [(Path(where) / name).relative_to(folder).as_posix() for name in (*names, *links)]
    return sorted(present)


def compare_site(folder: Path, files: Iterable[SiteFile]) -> Iterator[Finding]:
    """Yield a finding for each stale, edited, missing or additional file of a site.

    `files`: the files that the site should have; of pictures only the digests are compared.
    """
    known = listed(folder) if folder.is_dir() else None
    if known is None:
        raise InputError(f"--to {folder}: no site; build one with: python -m registry site --to {folder}")
    expected = set()
    for site_file in files:
        expected.add(site_file.path)
        reason = _difference(folder, site_file, known)
        if reason is not None:
            yield Finding(str(folder / PurePosixPath(site_file.path)), reason)
    for path in found_in(folder):
        if path not in expected and path != MANIFEST:
            yield Finding(str(folder / path), "left over: no page of today's boards has it")


def _difference(folder: Path, site_file: SiteFile, known: dict[str, str]) -> str | None:
    """Explain why a stored file, of `known` hashes by path, is not the one that the site should have; None if it is."""
    path = folder / site_file.path
    if not path.exists() and not path.is_symlink():
        return "missing"
    try:
        data = read_bytes(path, limit=LARGEST)
    except InputError as error:
        return f"edited: {str(error).removeprefix(f'{path}: ')}"
    is_edited = hashlib.sha256(data).hexdigest() != known.get(site_file.path)
    same = data == site_file.make() if site_file.digest is None else digest_in(data) == site_file.digest
    if is_edited and not (same and site_file.digest is None):
        return "edited: not what the build wrote"
    return None if same else "stale: the records, or the code, say something else by now"
