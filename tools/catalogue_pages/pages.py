"""`python -m tools.catalogue_pages.pages`: write docs/catalogue from the entries, as a build of the site does."""

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fastspiking import scan
from registry.site.files import SiteFile
from registry.site.pictures import digest_in, small_drawing
from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.composition.compose import compose
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.errors import InputError, SgbenchError, one_printable_line
from sgbench.inspection.neuron_picture import neuron_figure, neuron_picture
from sgbench.inspection.portrait import formula_of
from sgbench.inspection.surrogate_picture import surrogate_figure, surrogate_picture
from sgbench.networks.base import DenseLayer
from sgbench.paths import conf_dir
from sgbench.plots import style
from sgbench.plots.drawn_from import numbers_digest
from sgbench.records.spec import RunSpec
from sgbench.training.build import construct
from tools.catalogue_pages import neuron_pages, page_text
from tools.catalogue_pages.docstrings import described
from tools.catalogue_pages.page_text import Subject

KEYWORD = "Description"
AS_TEXT = {"svg.fonttype": "none"}  # letters as letters: a third of the bytes
OUTLINE = re.compile(rb' d="[^"]*"')
LONG = re.compile(rb"(\d\.\d)\d+")


def drawn(path: str, numbers: object, draw: Callable[[], Figure]) -> SiteFile:
    digest = numbers_digest(numbers)

    def make() -> bytes:
        data = style.encode(draw, ".svg", texts={KEYWORD: digest}, style_changes=AS_TEXT)
        return OUTLINE.sub(_shorter, data)

    return SiteFile(path, make, digest)


def _shorter(outline: re.Match[bytes]) -> bytes:
    """Round the coordinates of an outline to a tenth of a point, so that the file is shorter."""
    return b" " + b" ".join(LONG.sub(rb"\1", outline.group()).split())


GROUP, NEURON = "surrogate", "neuron"
POINTS = 401  # of a curve; 1201 would double the size of a picture


def main(argv: Sequence[str] | None = None) -> int:
    words = argparse.ArgumentParser(prog="python -m tools.catalogue_pages.pages", description=__doc__)
    words.add_argument("--into", type=Path, help="docs/catalogue of this checkout, unless given")
    args = words.parse_args(argv)
    try:
        written = write(folder := args.into or default_folder())
    except SgbenchError as error:
        sys.stderr.write(f"pages: error: {one_printable_line(error)}\n")
        return error.exit_code
    sys.stdout.write(f"{len(written)} files in {folder}\n")
    return 0


def default_folder() -> Path:
    docs = conf_dir().parent / "docs"
    if not docs.is_dir():
        raise InputError(f"{docs} does not exist: pages are written in a checkout; or name a folder with --into")
    return docs / "catalogue"


def write(folder: Path) -> list[Path]:
    found = every_subject()
    return put(folder, [*texts(*found), *pictures(*found)])


def put(folder: Path, made: Sequence[SiteFile]) -> list[Path]:
    """Write what is not there or says something else, and remove pages and pictures of entries that are gone."""
    for group in (GROUP, NEURON):
        (folder / group).mkdir(parents=True, exist_ok=True)
    for each in made:
        _update(folder / each.path, each)
    current = {folder / each.path for each in made}
    old = [path for group in (GROUP, NEURON) for path in (folder / group).iterdir() if path not in current]
    for path in old:
        if path.suffix in (".md", ".svg"):
            path.unlink()
    return sorted(current)


def _update(path: Path, made: SiteFile) -> None:
    """Write one file, unless it says the same; a picture says what its digest says."""
    there = path.read_bytes() if path.is_file() else None
    if made.digest is None:
        if there != (text := made.make()):
            path.write_bytes(text)
    elif there is None or digest_in(there) != made.digest:
        path.write_bytes(made.make())


def every_subject() -> tuple[list[Subject], list[neuron_pages.Subject]]:
    """The surrogates and the neurons of the catalogue, each with what a run would get of it."""
    known = catalogue.entries(GROUP)
    default = compose([])
    subjects = [subject(entry, known, default) for entry in known.values() if not is_preset(entry)]
    return subjects, neuron_pages.subjects(catalogue.entries(NEURON))


def texts(subjects: Sequence[Subject], neurons: Sequence[neuron_pages.Subject]) -> Iterator[SiteFile]:
    known = catalogue.entries(GROUP)
    pages = {f"{GROUP}/{one.entry.name}.md": page_text.surrogate_page(one) for one in subjects}
    pages |= {f"{NEURON}/{one.entry.name}.md": neuron_pages.neuron_page(one) for one in neurons}
    pages["surrogates.md"] = page_text.index_page(subjects)
    pages["libraries.md"] = page_text.library_page(known, filter(is_preset, known.values()))
    pages["neurons.md"] = neuron_pages.neurons_page(neurons)
    for path, text in pages.items():
        yield SiteFile(path, text.encode)


def pictures(subjects: Iterable[Subject], neurons: Iterable[neuron_pages.Subject]) -> Iterator[SiteFile]:
    """The picture of each entry, with the digest of its numbers inside."""
    for one in subjects:
        curves = surrogate_picture(one.entry.name, one.surrogate, POINTS)
        yield drawn(f"{GROUP}/{one.entry.name}.svg", curves, lambda shown=curves: surrogate_figure(shown))
        yield small_drawing(f"{GROUP}/{one.entry.name}", curves.slope.mean.tolist())
    for one in neurons:
        found = neuron_picture(one.entry.name, one.neuron, formula_of(one.entry))
        yield drawn(f"{NEURON}/{one.entry.name}.svg", found, lambda shown=found: neuron_figure(shown))
        yield small_drawing(f"{NEURON}/{one.entry.name}", found.responses[0].potential.tolist())


def subject(entry: Entry, known: Mapping[str, Entry], default: RunSpec) -> Subject:
    """An entry with what a run would get of it."""
    target = str(entry.target)
    tree = OmegaConf.create({"width_fwhm": None, GROUP: entry.parameters})
    try:
        defaults: Any = OmegaConf.to_container(tree, resolve=True)[GROUP]  # type: ignore[index, call-overload]
        made = construct(GROUP, target, defaults).float()
        neuron = construct(
            "neuron", default.targets["neuron"], default.method.parameters["neuron"], surrogate=made, features=1
        )
    except (SgbenchError, OmegaConfBaseException) as error:
        raise InputError(f"{entry.path}: {one_printable_line(error)}") from error
    why = scan.refusal(DenseLayer("hidden", 1, 1, neuron), torch.device("cpu"))
    module, _, name = target.rpartition(".")
    return Subject(
        entry=entry,
        surrogate=made,
        defaults=defaults,
        described=described(getattr(importlib.import_module(module), name)),
        engines=_engines(why, compiled=made.kernel() is not None),
        presets=[one for one in known.values() if is_preset(one) and canonical_name(one) == entry.name],
    )


def _engines(why: str | None, *, compiled: bool) -> str:
    if why is not None:
        return f"reference and snntorch; not fused or scan, because {why}"
    slope = "the slope inside the compiled loops" if compiled else "the slope in torch"
    return f"fused ({slope}), scan, reference, snntorch"


if __name__ == "__main__":
    raise SystemExit(main())
