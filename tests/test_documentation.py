"""What `make docs` adds to the pages: the reference, links that leave docs/, the bar, and the check of links."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from io import StringIO
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

import sgbench
from registry.site.render import DOCS_SECTIONS, SECTIONS, bar
from tests.messages import raises_naming
from tools.documentation.api import PACKAGE, api_pages
from tools.documentation.extension import BELOW, DOCS, GENERATED, ROOT, Outside, escape_bars
from tools.documentation.links import broken, main

PUBLISHING = (
    "actions/configure-pages@983d7736d9b0ae728b81ab479565c72886d7745b",
    "actions/upload-pages-artifact@56afc609e74202658d3ffba0e8f6dda462b719fa",
    "actions/deploy-pages@d6db90164ac5ed86f2b6aed7e0febac5b3c0c03e",
)


def test_the_reference_has_every_name_and_module() -> None:
    """Expected: each name of `sgbench.__all__`, and each module of a room that has a page, exactly once."""
    pages = dict(api_pages())
    for name in sgbench.__all__:
        assert name.startswith("__") or f":: sgbench.{name}\n" in pages["python"]
    named = [line for text in pages.values() for line in text.splitlines() if line.startswith(".. automodule::")]
    assert len(named) == len(set(named)) > 300
    assert ".. automodule:: sgbench.surrogates.atan" in named
    assert not [line for line in named if "sgbench.cli" in line]


def test_links_that_leave_docs_lead_into_the_site() -> None:
    """By hand, from a page one folder deep; what is code, an address or a link inside docs/ stays."""
    outside = Outside()
    page = PurePosixPath("adr/0001-explicit-neuron-state.md")
    cases = {
        "[a](../../leaderboards/digits_v1/table.md)": "[a](outside:../../protocols/digits_v1.html)",
        "[a](../../leaderboards/)": "[a](outside:../../boards.html)",
        "[a](../../sgbench/neurons/)": "[a](outside:../api/neurons.html)",
        "[`Neuron`](../../sgbench/neurons/base.py)": "[`Neuron`](outside:../files/sgbench/neurons/base.py.txt)",
        "[a](../../CONTRIBUTING.md#numbers)": "[a](../checkout/contributing.md#numbers)",
        "[a](../../tests/)": "a",
        "[a](../../conf/surrogate/)": "[a](outside:../../surrogates.html)",
        "[a](../../tools/presets.yaml)": "[a](outside:../catalogue/libraries.html)",
        "[a](../energy.md#top)": "[a](../energy.md#top)",
        "[a](https://example.org)": "[a](https://example.org)",
        "```sh\n[a](../../tests/)\n```": "```sh\n[a](../../tests/)\n```",
    }
    for given, expected in cases.items():
        assert outside.rewritten(given, page) == expected
    assert outside.copied == {"sgbench/neurons/base.py"}
    engines = outside.rewritten("[a](../README.md)", PurePosixPath("checkout/fastspiking.md"), ROOT / "fastspiking")
    assert engines == "[a](../checkout/readme.md)"
    readme = outside.rewritten("[a](docs/energy.md)", PurePosixPath("checkout/readme.md"), ROOT)
    assert readme == "[a](../energy.md)"


def test_the_bar_is_one(tmp_path: Path) -> None:
    """Expected: the boards' own sections first, and pages of the documentation that exist as Markdown."""
    assert bar(docs=False) == SECTIONS
    assert bar(docs=True) == (*SECTIONS, *DOCS_SECTIONS)
    for path, _ in DOCS_SECTIONS:
        assert (DOCS / PurePosixPath(path).relative_to("docs").with_suffix(".md")).is_file()
    template = (DOCS / "_templates" / "boards_bar.html").read_text()
    assert "boards_bar" in template
    names = {node.id for node in ast.walk(ast.parse((DOCS / "conf.py").read_text())) if isinstance(node, ast.Name)}
    assert "bar" in names


def test_every_page_stands_in_a_table_of_contents() -> None:
    """Expected: from the first page on every page of docs/ is reached, as Sphinx asks; by hand, a lone one."""
    pages = {
        path.relative_to(DOCS).with_suffix("").as_posix(): path.read_text()
        for path in DOCS.rglob("*.md")
        if path.relative_to(DOCS).parts[0] not in (*GENERATED, "catalogue", "_templates", "_static")
    }
    assert sorted(pages.keys() - reached(pages)) == []
    lone = {"index": "```{toctree}\na\nb/*\n```\n", "a": "", "b/c": "```{toctree}\nd\n```\n", "b/d": "", "b/d/e": ""}
    assert sorted(lone.keys() - reached(lone)) == ["b/d/e"]


def reached(pages: dict[str, str]) -> set[str]:
    """Names of pages below the first one, by their texts and by what each build adds to them."""
    found, left = set(), ["index"]
    while left:
        name = left.pop()
        if name in found or name not in pages:
            continue
        found.add(name)
        folder = PurePosixPath(name).parent
        lines = [BELOW[name]] if name in BELOW else []
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", pages[name], flags=re.DOTALL | re.MULTILINE):
            named = [line for line in block.splitlines() if line and not line.startswith(":")]
            lines += [re.sub(r".*<(.*)>", r"\1", line) for line in named]
        for line in lines:
            wanted = (folder / line).as_posix()
            left += [page for page in pages if page.count("/") == wanted.count("/") and fnmatch(page, wanted)]
    return found


def test_bars_of_absolute_values_stay() -> None:
    """By hand: a bar outside of backticks is escaped; code and examples are as they were."""
    lines = ["1 / (1 + |z|), as `|z|`", "    >>> a | b"]
    escape_bars(lines)
    assert lines == ["1 / (1 + \\|z\\|), as `|z|`", "    >>> a | b"]


def test_formulas_are_mathml() -> None:
    """Of the browser's own language, by hand: a square, two aligned rows; must differ: a command nobody knows."""
    mathematics = pytest.importorskip("tools.documentation.mathematics", reason="pip install 'sgbench[docs]'")
    assert "<msup><mi>a</mi><mn>2</mn></msup>" in mathematics.as_mathml("a^2")
    rows = mathematics.as_mathml(r"\text{one\_b: } a &= b \\ c &= d", is_block=True)
    assert (rows.count("<mtr>"), rows.count("<mtd")) == (2, 4)
    assert "one_b:" in rows
    with raises_naming(Exception, "page"):
        mathematics.as_mathml(r"\unheardof", of="page")


def test_the_workflow_publishes_what_make_docs_builds() -> None:
    """Expected: one build of boards and documentation, published by actions at the commits that were agreed on."""
    tree = yaml.safe_load((ROOT / ".github" / "workflows" / "site.yml").read_text())
    steps = [step for job in tree["jobs"].values() for step in job["steps"]]
    assert "make docs" in [step.get("run") for step in steps]
    used = [step["uses"] for step in steps if "uses" in step]
    assert set(PUBLISHING) <= set(used)
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", each) for each in used)
    (kept,) = (step for step in steps if step.get("uses") == PUBLISHING[1])
    assert kept["with"]["path"] == "public"
    assert "if" not in kept  # of a pull request too
    assert tree["jobs"]["publish"]["if"] == "github.event_name == 'push'"


def test_broken_links_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hand count: of eight links three lead nowhere and one loads from elsewhere; a page with none is silent."""
    (tmp_path / "b.html").write_text('<p id="here">b</p>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">1</a><a href="b.html#gone">2</a><a href="c.html">3</a><a href="https://example.org">4</a>'
        '<a href="https://">5</a><a href="b.html">6</a><script src="https://example.org/a.js"></script>'
        '<img src="data:image/png;base64,AA">'
    )
    assert [line.partition(": ")[2] for line in broken(tmp_path)] == [
        "b.html#gone: no such place on that page",
        "c.html: no such file",
        "https://: no address",
        "https://example.org/a.js: is loaded from elsewhere",
    ]
    assert main([str(tmp_path)]) == 1
    assert "2 pages, 4 broken links" in capsys.readouterr().out


@pytest.mark.slow
def test_docstrings_are_restructured_text() -> None:
    """By docutils, as `make docs` reads them; must differ: a list without a line above, a name ending in `_`."""
    pytest.importorskip("sphinx", reason="pip install 'sgbench[docs]'")
    texts = [text for path in sorted(PACKAGE.rglob("*.py")) for text in public_docstrings(path)]
    assert len(texts) > 3000
    assert [said for where, text, kind in texts for said in faults(where, text, kind)] == []
    assert faults("a", "One.\n\n- a; - b\nc\n  d", "function")
    assert faults("a", "As add_ does.", "function")
    assert faults("a", "What `${name:...}` calls.", "data")
    assert faults("a", "What `${decay:0.1}` and others call.", "function") == []


def public_docstrings(path: Path) -> Iterator[tuple[str, str, str]]:
    """Place, text and kind (as autodoc calls it) of each docstring of a module that a page may show."""
    for node in ast.walk(ast.parse(path.read_text())):
        name = getattr(node, "name", path.stem)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and name[:1] != "_":
            text = ast.get_docstring(node)
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            yield from [(f"{path.name}: {name}", text, kind)] if text else []
        if isinstance(node, ast.ClassDef | ast.Module):
            for value, told in pairwise(node.body):
                if isinstance(value, ast.Assign | ast.AnnAssign) and isinstance(told, ast.Expr):
                    yield f"{path.name}: line {told.lineno}", ast.literal_eval(told.value), "data"


def faults(where: str, text: str, kind: str) -> list[str]:
    """What docutils warns of in a docstring, turned as Sphinx's napoleon turns it."""
    from docutils import nodes
    from docutils.frontend import get_default_settings
    from docutils.parsers.rst import Parser, directives
    from docutils.parsers.rst.directives.body import MathBlock
    from docutils.utils import new_document

    napoleon: Any = importlib.import_module("sphinx.ext.napoleon")
    directives.register_directive("math", MathBlock)
    lines = str(napoleon.GoogleDocstring(inspect.cleandoc(text), what=kind, name="x")).splitlines()
    escape_bars(lines)
    settings = get_default_settings(Parser())
    settings.report_level, settings.halt_level, settings.warning_stream = 2, 6, StringIO()
    document = new_document(where, settings)
    Parser().parse("\n".join(lines), document)
    names = [f"{where}: no target {each['refname']}" for each in document.findall(nodes.reference) if "refname" in each]
    return [*settings.warning_stream.getvalue().splitlines(), *names]
