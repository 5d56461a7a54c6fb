"""`python -m tools.catalogue_pages.pages`: write docs/catalogue from the entries, as a build of the site does."""

import argparse
import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from fastspiking import scan, snntorch
from registry.site.entry_facts import facts_of, presets_by_entry
from registry.site.pictures import digest_in, small_drawing
from registry.site.render import SiteFile
from sgbench.composition import catalogue
from sgbench.composition.catalogue import Entry
from sgbench.composition.compose import compose
from sgbench.composition.selection import is_preset
from sgbench.errors import InputError, SgbenchError, one_printable_line
from sgbench.networks.base import DenseLayer
from sgbench.neurons.base import Neuron
from sgbench.paths import conf_dir
from sgbench.plots import style
from sgbench.plots.entries.neuron import neuron_figure, neuron_picture
from sgbench.plots.entries.surrogate import surrogate_figure, surrogate_picture
from sgbench.plots.style import numbers_digest
from sgbench.records.spec import RunSpec
from sgbench.surrogates.base import Surrogate
from sgbench.training.build import construct
from sgbench.training.entries import formula_of
from tools.catalogue_pages import page_text
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
    words.add_argument("--to", type=Path, help="docs/catalogue of this checkout, unless given")
    args = words.parse_args(argv)
    try:
        written = write(folder := args.to or default_folder())
    except SgbenchError as error:
        sys.stderr.write(f"pages: error: {one_printable_line(error)}\n")
        return error.exit_code
    sys.stdout.write(f"{len(written)} files in {folder}\n")
    return 0


def default_folder() -> Path:
    docs = conf_dir().parent / "docs"
    if not docs.is_dir():
        raise InputError(f"{docs} does not exist: pages are written in a checkout; or name a folder with --to")
    return docs / "catalogue"


def write(folder: Path) -> list[Path]:
    found = every_subject()
    return put(folder, [*texts(found), *pictures(found)])


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


def every_subject() -> list[Subject]:
    """The surrogates and the neurons of the catalogue, each with what a run would get of it."""
    default, known = compose([]), catalogue.entries(GROUP)
    canonical = (entry for entry in known.values() if not is_preset(entry))
    presets = presets_by_entry(known)
    subjects = [subject(entry, default, presets.get(entry.name, [])) for entry in canonical]
    return subjects + [subject(entry, default) for entry in catalogue.entries(NEURON).values()]


def of(group: str, subjects: Iterable[Subject]) -> list[Subject]:
    return [one for one in subjects if one.entry.group == group]


def texts(subjects: Sequence[Subject]) -> Iterator[SiteFile]:
    pages = {f"{one.entry.group}/{one.entry.name}.md": page_text.entry_page(one) for one in subjects}
    pages["surrogates.md"] = page_text.surrogates_page(of(GROUP, subjects))
    pages["libraries.md"] = page_text.library_page(catalogue.entries(GROUP))
    pages["neurons.md"] = page_text.neurons_page(of(NEURON, subjects))
    for path, text in pages.items():
        yield SiteFile(path, text.encode)


def pictures(subjects: Iterable[Subject]) -> Iterator[SiteFile]:
    """The picture of each entry, with the digest of its numbers inside."""
    for one in subjects:
        name, path = one.entry.name, f"{one.entry.group}/{one.entry.name}"
        if isinstance(one.made, Surrogate):
            curves = surrogate_picture(name, one.made, POINTS)
            yield drawn(f"{path}.svg", curves, lambda shown=curves: surrogate_figure(shown))
            yield small_drawing(path, curves.slope.mean.tolist())
        else:
            found = neuron_picture(name, one.made, formula_of(one.entry))
            yield drawn(f"{path}.svg", found, lambda shown=found: neuron_figure(shown))
            yield small_drawing(path, found.responses[0].potential.tolist())


def subject(entry: Entry, default: RunSpec, presets: Sequence[Entry] = ()) -> Subject:
    """Return a surrogate or neuron with its page's facts, made as a run makes it.

    A neuron is needed to tell which engines run it: a surrogate is put into the default neuron of `default`, and a
    neuron gets the default surrogate. `presets`: entries that are this surrogate at other settings.
    """
    method, target, group = default.method, str(entry.target), entry.group
    protocol = {"dt_s": method.protocol.dt_s, "steps": method.protocol.steps}
    tree = OmegaConf.create({"protocol": protocol, "width_fwhm": None, group: entry.parameters})
    neuron_target, numbers = default.targets[NEURON], method.parameters[NEURON]
    try:
        values: Any = OmegaConf.to_container(tree, resolve=True)
        if group == GROUP:
            surrogate = construct(GROUP, target, values[group]).float()
        else:
            surrogate = construct(GROUP, default.targets[GROUP], method.parameters[GROUP])
            neuron_target, numbers = target, values[group]
        weights = torch.Generator().manual_seed(0)
        neuron = construct(NEURON, neuron_target, numbers, surrogate=surrogate, features=1, generator=weights).float()
    except (SgbenchError, OmegaConfBaseException) as error:
        raise InputError(f"{entry.path}: {one_printable_line(error)}") from error
    module, _, name = target.rpartition(".")
    class_facts = described(getattr(importlib.import_module(module), name))
    engines = _engines(neuron, surrogate if group == GROUP else None)
    made = surrogate if group == GROUP else neuron
    return Subject(entry, facts_of(entry, presets), made, class_facts, engines, presets)


def _engines(neuron: Neuron, surrogate: Surrogate | None) -> str:
    """Which engines run a neuron; with `surrogate` those that run this one in a run's default neuron."""
    layer, cpu = DenseLayer("hidden", 1, 1, neuron), torch.device("cpu")
    why = scan.refusal(layer, cpu)
    if why is not None:
        return f"reference{'' if surrogate is None else ' and snntorch'}; not fused or scan, because {why}"
    if surrogate is not None:
        slope = "in torch" if surrogate.kernel() is None else "inside the compiled loops"
        return f"fused (the slope {slope}), scan, reference, snntorch"
    theirs = snntorch.refusal(layer, cpu)
    return "fused, scan, reference" + (", snntorch" if theirs is None else f"; not snntorch: {theirs}")


if __name__ == "__main__":
    raise SystemExit(main())
