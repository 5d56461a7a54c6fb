"""Files that the documents show, each a path on a line of its own and then a block of code."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
WORKED_ENTRIES = ROOT / "docs" / "worked_entries.md"


def sections(document: Path) -> dict[str, str]:
    """The text below each heading of the second and third level, by its heading."""
    parts = re.split(r"^#{2,3} (.*)\n", document.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def files_shown(text: str) -> dict[str, str]:
    """The content of each file by its path."""
    return dict(re.findall(r"^`(\S+)`\n\n```\w+\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE))


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE)
