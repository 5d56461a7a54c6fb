"""Sphinx's writer of formulas: MathML made at build, which browsers draw without a script and without a network."""

from typing import Any

from latex2mathml.converter import convert
from sphinx.errors import ExtensionError

NAME = "mathml"
"""What `html_math_renderer` of conf.py calls it."""
ROWS = ("&", r"\\")
"""What a formula of several lines has, and needs an environment for."""


def setup(app: Any) -> dict[str, bool]:
    app.add_html_math_renderer(NAME, inline_renderers=(inline, None), block_renderers=(block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def inline(writer: Any, node: Any) -> None:
    """Write a formula within a line, which has no children to go on with."""
    writer.body.append(as_mathml(node.astext(), of=writer.docnames[0]))
    _skip()


def block(writer: Any, node: Any) -> None:
    """Write a formula in lines of its own; a wide one scrolls, by keys too."""
    text = as_mathml(node.astext(), is_block=True, of=writer.docnames[0])
    writer.body.append(f'<div class="math" role="group" aria-label="formula" tabindex="0">{text}</div>\n')
    _skip()


def _skip() -> None:
    """Tell Sphinx, by an exception, that a node is written and its children are not to be visited."""
    from docutils.nodes import SkipNode

    raise SkipNode


def as_mathml(formula: str, *, is_block: bool = False, of: str = "") -> str:
    r"""Return a formula of LaTeX as MathML; `of`: name of the page that has it, for messages."""
    text = " ".join(formula.split()).replace("{aligned}", "{split}").replace(r"\_", "_")
    if is_block and r"\begin" not in text and any(mark in text for mark in ROWS):
        text = rf"\begin{{split}} {text} \end{{split}}"
    try:
        mathml = convert(text, display="block" if is_block else "inline")
    except Exception as error:  # of many kinds, which share no class
        raise ExtensionError(f"{of}: formula {text!r}: {type(error).__name__} {error}") from error
    if "\\" in mathml:  # the converter leaves commands that it does not know
        name = mathml.partition("\\")[2].partition("<")[0]
        raise ExtensionError(f"{of}: formula {text!r}: \\{name} is not known; write it otherwise")
    return mathml
