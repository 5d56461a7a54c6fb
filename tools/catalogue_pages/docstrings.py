"""Docstrings of the catalogue's classes as Markdown."""

import inspect
import re
from typing import NamedTuple

SECTIONS = ("Args:", "Raises:", "Returns:", "Attributes:")


class Described(NamedTuple):
    """A docstring in parts: prose in Markdown, and the meaning of each parameter."""

    prose: str
    parameters: dict[str, str]


def described(kind: type) -> Described:
    """The parts of a class's own docstring."""
    text = inspect.cleandoc(kind.__doc__ or "")
    prose: list[str] = []
    parameters: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", text):
        first = block.strip().splitlines()[0].strip() if block.strip() else ""
        if first == "Args:":
            parameters |= _parameters(block)
        elif first not in SECTIONS and first:
            prose.append(_markdown(block))
    return Described("\n\n".join(prose), parameters)


def inline(text: str) -> str:
    r"""One line, with the formulas of reStructuredText as those of Markdown.

    >>> inline(":math:`4/k`, in place\n    of `slope`")
    '$4/k$, in place of `slope`'
    """
    return " ".join(re.sub(r":math:`([^`]*)`", r"$\1$", text).split())


def _parameters(block: str) -> dict[str, str]:
    """The entries of `Args:`, each a name, a colon and its meaning, which may go on indented."""
    lines = inspect.cleandoc("\n".join(block.splitlines()[1:])).splitlines()
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        head = re.match(r"(\w+):\s*(.*)", line)
        if head:
            name, found[head.group(1)] = head.group(1), head.group(2)
        elif name:
            found[name] += " " + line
    return {key: inline(value) for key, value in found.items()}


def _markdown(block: str) -> str:
    if block.lstrip().startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if block.lstrip().startswith(".. math::"):
        formula = " ".join(block.replace(".. math::", "", 1).split())
        if "&" in formula and r"\begin" not in formula:
            formula = rf"\begin{{aligned}} {formula} \end{{aligned}}"
        return f"```math\n{formula}\n```"
    return inline(block)
