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
OUTLINE, LONG = re.compile(rb' d="[^"]*"'), re.compile(rb"(\d\.\d)\d+")


def picture_file(path: str, numbers: object, draw: Callable[[], Figure]) -> SiteFile:
    """Return a picture as a file of the site, with the digest of the numbers that it shows inside."""
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
    """Bring all pages and pictures in a folder up to date; return their paths."""
    subjects = every_subject()
    return put(folder, [*texts(subjects), *pictures(subjects)])


def put(folder: Path, files: Sequence[SiteFile]) -> list[Path]:
    """Write files that are missing or differ, and remove pages and pictures of entries that are gone."""
    for group in (GROUP, NEURON):
        (folder / group).mkdir(parents=True, exist_ok=True)
    for file in files:
        _update(folder / file.path, file)
    current = {folder / file.path for file in files}
    obsolete = [path for group in (GROUP, NEURON) for path in (folder / group).iterdir() if path not in current]
    for path in obsolete:
        if path.suffix in (".md", ".svg"):
            path.unlink()
    return sorted(current)


def _update(path: Path, file: SiteFile) -> None:
    """Write one file unless it is equal already; a picture is, without being drawn, if its digest is."""
    present = path.read_bytes() if path.is_file() else None
    if file.digest is None:
        if present != (text := file.make()):
            path.write_bytes(text)
    elif present is None or digest_in(present) != file.digest:
        path.write_bytes(file.make())


def every_subject() -> list[Subject]:
    """List the surrogates and neurons of the catalogue, each made as a run makes it."""
    default, known = compose([]), catalogue.entries(GROUP)
    canonical = (entry for entry in known.values() if not is_preset(entry))
    presets = presets_by_entry(known)
    subjects = [subject(entry, default, presets.get(entry.name, [])) for entry in canonical]
    return subjects + [subject(entry, default) for entry in catalogue.entries(NEURON).values()]


def texts(subjects: Sequence[Subject]) -> Iterator[SiteFile]:
    """Yield the page of each entry, the lists of surrogates and of neurons, and the surrogates by library."""
    pages = {f"{subject.entry.group}/{subject.entry.name}.md": page_text.entry_page(subject) for subject in subjects}
    pages["surrogates.md"] = page_text.surrogates_page(subjects)
    pages["libraries.md"] = page_text.library_page(catalogue.entries(GROUP))
    pages["neurons.md"] = page_text.neurons_page(subjects)
    for path, text in pages.items():
        yield SiteFile(path, text.encode)


def pictures(subjects: Iterable[Subject]) -> Iterator[SiteFile]:
    """Yield the picture of each entry, and a small one for lists: of the slope, or of the potential over time."""
    for subject in subjects:
        name, path = subject.entry.name, f"{subject.entry.group}/{subject.entry.name}"
        if isinstance(subject.made, Surrogate):
            curves = surrogate_picture(name, subject.made, POINTS)
            yield picture_file(f"{path}.svg", curves, lambda picture=curves: surrogate_figure(picture))
            yield small_drawing(path, curves.slope.mean.tolist())
        else:
            responses = neuron_picture(name, subject.made, formula_of(subject.entry))
            yield picture_file(f"{path}.svg", responses, lambda picture=responses: neuron_figure(picture))
            yield small_drawing(path, responses.responses[0].potential.tolist())


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
    """Write which engines run a neuron; if the page is of its `surrogate`, also where they compute the slope."""
    layer, cpu = DenseLayer("hidden", 1, 1, neuron), torch.device("cpu")
    why_not_fast = scan.refusal(layer, cpu)
    if why_not_fast is not None:
        return f"reference{'' if surrogate is None else ' and snntorch'}; not fused or scan, because {why_not_fast}"
    if surrogate is not None:
        slope = "in torch" if surrogate.kernel() is None else "inside the compiled loops"
        return f"fused (the slope {slope}), scan, reference, snntorch"
    why_not_snntorch = snntorch.refusal(layer, cpu)
    ending = ", snntorch" if why_not_snntorch is None else f"; not snntorch: {why_not_snntorch}"
    return f"fused, scan, reference{ending}"


if __name__ == "__main__":
    raise SystemExit(main())
