"""Confirmations of data sets without a published checksum: sizes and checksums from a user who has the files."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from sgbench.composition.catalogue import Entry
from sgbench.datasets.base import SPLITS
from sgbench.datasets.checks import check
from sgbench.datasets.download import digests, known
from sgbench.datasets.event_files import EventFiles
from sgbench.datasets.formats.event_cache import checksum_of_checksums, sha256_of
from sgbench.errors import InputError
from sgbench.records.submission import DataConfirmation, FetchedFile, OriginalFile


def confirm(entry: Entry, data_set: object, data_dir: Path, contact: str) -> DataConfirmation:
    """Load a data set without a known checksum, and write down its sizes and the checksums of its files."""
    if not isinstance(data_set, EventFiles) or data_set.sha256 is not None:
        raise InputError(f"data set {entry.name}: its checksum is known, run: sgbench data check {entry.name}")
    splits = data_set.load(data_dir)
    root = data_dir / data_set.folder
    confirmation = DataConfirmation(
        schema_version=1,
        dataset=entry.name,
        sizes={split: len(splits[split].target) for split in SPLITS},
        sha256=check(data_set, splits),
        files=tuple(
            OriginalFile(name=name, bytes=(root / name).stat().st_size, sha256=sha256_of(root / name))
            for name in data_set.originals(root)
        ),
        downloads=tuple(_fetched_file(data_set, root, file.name) for file in data_set.downloads if file.md5),
        contact=contact,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    compare(confirmation, data_set)
    return confirmation


def _fetched_file(data_set: EventFiles, root: Path, name: str) -> FetchedFile:
    """Return name and MD5 of a published file: hashed if it is still there, else as noted when it was fetched."""
    if (root / name).is_file():
        return FetchedFile(name=name, md5=digests(root / name)[0])
    if name in known(root):
        return FetchedFile(name=name, md5=known(root)[name]["md5"])
    raise InputError(
        f"data set {data_set.name}: {name} was not fetched by sgbench, so its MD5 is not known; put it into {root}"
    )


def compare(confirmation: DataConfirmation, data_set: EventFiles) -> None:
    """Check a confirmation against all that is known of a data set without its files.

    Checked are the sizes of splits where published, the names of the original files, the published MD5 of
    downloads, and that the checksum of the data set follows from the checksums of its files.
    """
    start, ask = f"data set {confirmation.dataset}: ", f"ask {confirmation.contact}"
    for together, count in data_set.recorded.items():
        total = sum(confirmation.sizes[split] for split in together)
        if total != count:
            raise InputError(f"{start}{total} samples of {' and '.join(together)}, not {count}; {ask}")
    other = _difference_from_originals(data_set, [file.name for file in confirmation.files])
    if other is not None:
        raise InputError(f"{start}{other}; {ask}")
    md5 = {file.name: file.md5 for file in confirmation.downloads}
    for file in data_set.downloads:
        if file.md5 is not None and md5.get(file.name) != file.md5:
            stated = md5.get(file.name, "none")
            raise InputError(f"{start}md5 of {file.name} is {stated}, not the published {file.md5}; {ask}")
    originals = checksum_of_checksums((file.name, file.sha256) for file in confirmation.files)
    if confirmation.sha256 != data_set.checksum_of(originals):
        raise InputError(f"{start}checksum {confirmation.sha256[:12]} does not follow from those of its files; {ask}")


def _difference_from_originals(data_set: EventFiles, names: Sequence[str]) -> str | None:
    """Describe how a list of file names differs from the data set's original files; return None if it does not.

    The data set lists its originals in a temporary folder of empty files with these names.
    """
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or str(path) != name:
            return f"{name} is no name of a file below a folder"
    with TemporaryDirectory() as folder:
        root = Path(folder)
        try:
            for name in names:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).touch()
            declared = data_set.originals(root)
        except OSError as error:
            return f"its files cannot lie in one folder: {error.strerror}"
        except InputError as error:
            return str(error).partition(";")[0].replace(folder, "its list of files")
    if list(names) == declared:
        return None
    foreign = sorted(set(names) - set(declared))
    return f"{foreign[0]} is no original" if foreign else "its files are not in the order of the originals"
