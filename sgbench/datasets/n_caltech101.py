"""N-Caltech101: pictures of 101 kinds of objects, recorded by a moving event camera."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

from sgbench.datasets.base import Split, divide_classes
from sgbench.datasets.event_files import EventFiles, FileToFetch, below, camera_recordings
from sgbench.datasets.formats import event_bin
from sgbench.datasets.formats.event_store import Recording
from sgbench.errors import InputError

INSIDE = "Caltech101"  # folder in the data set's own


class NCaltech101(EventFiles, entry="n_caltech101"):
    """Loads recordings of 8709 pictures of 101 classes by an event camera in three small movements.

    There is no official split: a tenth of each class, at least one recording, is for validation and as many for the
    test, chosen by the hash of file names. Pictures have at most 240x180 pixels; the least x and y of each
    recording become 0, as in tonic.

    Source: Orchard, Jayawant, Cohen & Thakor 2015, Frontiers in Neuroscience 9:437.
    """

    image: tuple[int, int, int] | None = (2, 180, 240)
    n_inputs: int = 2 * 180 * 240
    recorded: ClassVar[Mapping[tuple[Split, ...], int]] = {("train", "validation", "test"): 8709}
    source: str = "www.garrickorchard.com/datasets/n-caltech101"
    name: ClassVar[str] = "n_caltech101"
    folder: ClassVar[str] = "NCALTECH101"
    downloads: ClassVar[tuple[FileToFetch, ...]] = (
        FileToFetch(
            "https://data.mendeley.com/public-files/datasets/cy6cvx3ryv/files/"
            "36b5c52a-b49d-4853-addb-a836a8883e49/file_downloaded",
            "N-Caltech101-archive.zip",
            "66201824eabb0239c7ab992480b50ba3",
            20_000_000_000,
        ),
    )
    by_hand: ClassVar[str] = "or put the folder Caltech101 into the folder NCALTECH101 of the data root"

    def originals(self, root: Path) -> list[str]:
        return [f"{INSIDE}/{name}" for name in below(root / INSIDE, "*/*.bin", self.remedy)]

    def recordings(self, root: Path) -> Mapping[Split, Iterable[Recording]]:
        """Return the labelled recordings of each split; validation and test get a tenth of each class."""
        classes: dict[str, list[str]] = {}
        for name in self.originals(root):
            classes.setdefault(name.split("/")[1], []).append(name)
        if len(classes) != self.n_classes:
            raise InputError(f"{root / INSIDE}: holds {len(classes)} classes, not {self.n_classes}; {self.remedy}")
        labels = {name: number for number, name in enumerate(sorted(classes))}
        labelled: dict[Split, list[tuple[str, int]]] = {
            split: [(name, labels[name.split("/")[1]]) for name in names]
            for split, names in divide_classes(classes, tenths=(1, 1)).items()
        }
        image = (2, 180, 240)  # polarities, rows, columns
        return {split: camera_recordings(root, files, _read, image) for split, files in labelled.items()}


def _read(path: Path) -> event_bin.Pixels:
    """Read a recording and move it to the corner of the image, since objects lie at different places."""
    pixels = event_bin.read(path)
    if not len(pixels.x):
        return pixels
    return pixels._replace(x=pixels.x - pixels.x.min(), y=pixels.y - pixels.y.min())
