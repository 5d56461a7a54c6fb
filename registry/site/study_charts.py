"""Builds the pages of the charts of studies, which are read from the checkout's documentation."""

from collections.abc import Iterator

from registry.site.files import Page
from registry.site.sources import Sources
from sgbench.errors import InputError
from sgbench.plots.chart import CHARTS, Charts, charts_of_json
from sgbench.plots.layout import Drawing, laid_out
from sgbench.records.files import read_bytes

STUDIES = ("study", "passing_steps", "chip")
"""Folders of the documentation with the reports of studies."""


def study_charts(sources: Sources) -> dict[str, Charts]:
    """Map the names of the charts in all reports to the charts; empty outside a checkout."""
    found: dict[str, Charts] = {}
    for study in STUDIES:
        path = None if sources.docs is None else sources.docs / study / CHARTS
        if path is not None and path.is_file():
            try:
                found |= charts_of_json(read_bytes(path))
            except ValueError as error:
                raise InputError(f"{path}: holds no charts; write it again with python -m study report") from error
    return found


def charts_pages(sources: Sources) -> Iterator[Page]:
    kinds: dict[str, dict[str, Drawing]] = {}
    for name, charts in study_charts(sources).items():
        drawing = laid_out(charts)
        if drawing is not None:
            kinds.setdefault(name.partition(":")[0], {})[name] = drawing
    study = "docs/study/README.html" if sources.extras.has_docs else None
    links = []
    for kind, drawings in kinds.items():
        path, title = f"measured/{kind.replace(' ', '_')}.html", f"{kind[0].upper()}{kind[1:]}"
        about = next(iter(drawings.values())).caption
        links.append((path, title, about))
        values = {"charts": drawings, "study": study}
        yield Page(path, title, f"{title}, as studies measured it.", "measured.html", values, "index.html", words=about)
    if links:
        about = "Charts of studies: widths, learning rates and rules, passing steps, advice under a budget."
        values = {"links": links, "study": study}
        yield Page("measured.html", "What was measured", about, "measured_list.html", values, "index.html")
