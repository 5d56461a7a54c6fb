"""`python -m tools.catalogue_pages.pages`: write docs/catalogue from the entries (`make catalogue`)."""

from __future__ import annotations

import argparse
import functools
import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.composition.compose import compose
from sgbench.composition.selection import canonical_name, is_preset
from sgbench.engine import scan
from sgbench.errors import InputError, SgbenchError, one_printable_line
from sgbench.inspection.neuron_picture import neuron_picture
from sgbench.inspection.portrait import formula_of
from sgbench.inspection.surrogate_picture import surrogate_picture
from sgbench.networks.base import DenseLayer
from sgbench.paths import conf_dir
from sgbench.plots import style
from sgbench.plots.neuron import neuron_figure
from sgbench.plots.surrogate import surrogate_figure
from sgbench.records.spec import RunSpec
from sgbench.training.build import construct
from tools.catalogue_pages import neuron_pages, page_text
from tools.catalogue_pages.docstrings import described
from tools.catalogue_pages.page_text import Subject

GROUP, NEURON = "surrogate", "neuron"
Pictures = Literal["all", "new", "none"]
PICTURES: tuple[Pictures, ...] = ("all", "new", "none")
POINTS = 401  # of a curve; 1201 would double the size of a picture


def main(argv: Sequence[str] | None = None) -> int:
    """Write all pages and pictures; returns the exit code."""
    words = argparse.ArgumentParser(prog="python -m tools.catalogue_pages.pages", description=__doc__)
    words.add_argument("--into", type=Path, help="docs/catalogue of this checkout, unless given")
    words.add_argument(
        "--pictures", choices=PICTURES, default="all", help="which are drawn; the old ones take minutes"
    )
    args = words.parse_args(argv)
    try:
        folder = args.into or default_folder()
        written = write(folder, pictures=args.pictures)
    except SgbenchError as error:
        sys.stderr.write(f"pages: error: {one_printable_line(error)}\n")
        return error.exit_code
    sys.stdout.write(f"{len(written)} files in {folder}\n")
    return 0


def default_folder() -> Path:
    """docs/catalogue beside conf/.

    Raises:
        InputError: this is no checkout.
    """
    docs = conf_dir().parent / "docs"
    if not docs.is_dir():
        raise InputError(
            f"{docs} does not exist: pages are written in a checkout; or name a folder with --into"
        )
    return docs / "catalogue"


def write(folder: Path, *, pictures: Pictures) -> list[Path]:
    """Write every page and all, new or no pictures; remove what belongs to entries that are gone."""
    known = catalogue.entries(GROUP)
    default = compose([])
    subjects = [subject(entry, known, default) for entry in known.values() if not is_preset(entry)]
    neurons = neuron_pages.subjects(catalogue.entries(NEURON))
    pages = {Path(GROUP) / f"{one.entry.name}.md": page_text.surrogate_page(one) for one in subjects}
    pages |= {Path(NEURON) / f"{one.entry.name}.md": neuron_pages.neuron_page(one) for one in neurons}
    pages[Path("surrogates.md")] = page_text.index_page(subjects)
    pages[Path("libraries.md")] = page_text.library_page(known, filter(is_preset, known.values()))
    pages[Path("neurons.md")] = neuron_pages.neurons_page(neurons)
    for group in (GROUP, NEURON):
        (folder / group).mkdir(parents=True, exist_ok=True)
    for path, text in pages.items():
        (folder / path).write_text(text, encoding="utf-8")
    drawn = {
        folder / one.entry.group / f"{one.entry.name}.svg": functools.partial(_figure, one)
        for one in [*subjects, *neurons]
    }
    for path, figure in drawn.items():
        if pictures == "all" or (pictures == "new" and not path.exists()):
            _draw(figure, path)
    current = {*(folder / path for path in pages), *drawn}
    old = [path for group in (GROUP, NEURON) for path in (folder / group).iterdir() if path not in current]
    for path in old:
        if path.suffix in (".md", ".svg"):
            path.unlink()
    return sorted(path for path in current if path.exists())


def subject(entry: Entry, known: Mapping[str, Entry], default: RunSpec) -> Subject:
    """An entry with what a run would get of it.

    Args:
        entry: the surrogate.
        known: all surrogates and presets by name.
        default: the run whose neurons send through it.

    Raises:
        InputError: names the entry that cannot be made.
    """
    target = str(entry.target)
    tree = OmegaConf.create({"width_fwhm": None, GROUP: entry.parameters})
    try:
        defaults: Any = OmegaConf.to_container(tree, resolve=True)[GROUP]  # type: ignore[index, call-overload]
        made = construct(GROUP, target, defaults).float()
        neuron = construct(
            "neuron",
            default.targets["neuron"],
            default.method.parameters["neuron"],
            surrogate=made,
            features=1,
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


def _figure(one: Subject | neuron_pages.Subject) -> Figure:
    if isinstance(one, Subject):
        return surrogate_figure(surrogate_picture(one.entry.name, one.surrogate, POINTS))
    return neuron_figure(neuron_picture(one.entry.name, one.neuron, formula_of(one.entry)))


def _draw(figure: Callable[[], Figure], path: Path) -> None:
    style.save(
        figure, path, style_changes={"svg.fonttype": "none"}
    )  # letters as letters: a third of the bytes
    drawn = re.sub(r' d="[^"]*"', _shorter, path.read_text(encoding="utf-8"))
    path.write_text(drawn, encoding="utf-8")


def _shorter(outline: re.Match[str]) -> str:
    """An outline of an SVG to a tenth of a point."""
    return " " + " ".join(re.sub(r"(\d\.\d)\d+", r"\1", outline.group()).split())


if __name__ == "__main__":
    raise SystemExit(main())
