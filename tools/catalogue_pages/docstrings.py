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
    """Divide a class's own docstring into prose and parameters; what it raises or returns is left out."""
    text = inspect.cleandoc(kind.__doc__ or "")
    prose: list[str] = []
    parameters: dict[str, str] = {}
    for block in re.split(r"\n\s*\n", text):
        heading = block.strip().partition("\n")[0].strip()
        if heading == "Args:":
            parameters |= _parameters(block)
        elif heading not in SECTIONS and heading:
            prose.append(_markdown(block))
    return Described("\n\n".join(prose), parameters)


def inline(text: str) -> str:
    r"""Write a text of reStructuredText as one line of Markdown, with its formulas.

    >>> inline(":math:`4/k`, in place\n    of `slope`")
    '$4/k$, in place of `slope`'
    """
    return " ".join(re.sub(r":math:`([^`]*)`", r"$\1$", text).split())


def _parameters(block: str) -> dict[str, str]:
    """Map the names of parameters in a block `Args:` to their meanings, which may go on in indented lines."""
    lines = inspect.cleandoc("\n".join(block.splitlines()[1:])).splitlines()
    meanings: dict[str, str] = {}
    name = ""
    for line in lines:
        entry = re.match(r"(\w+):\s*(.*)", line)
        if entry:
            name, meanings[entry[1]] = entry.groups()
        elif name:
            meanings[name] += " " + line
    return {key: inline(meaning) for key, meaning in meanings.items()}


def _markdown(block: str) -> str:
    """Write a paragraph, an example or a formula of a docstring as Markdown."""
    if block.lstrip().startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if block.lstrip().startswith(".. math::"):
        formula = " ".join(block.replace(".. math::", "", 1).split())
        if "&" in formula and r"\begin" not in formula:
            formula = rf"\begin{{aligned}} {formula} \end{{aligned}}"
        return f"```math\n{formula}\n```"
    return inline(block)
