"""Writes numbers and tables alike in the terminal, on pages, in files and in papers."""

from sgbench.tables.text import (
    NONE,
    aligned,
    code,
    counted,
    decimal_text,
    few,
    inert,
    number_text,
    p_text,
    prose,
    ranges,
)

__all__ = [
    "NONE",
    "aligned",
    "code",
    "counted",
    "decimal_text",
    "few",
    "inert",
    "number_text",
    "p_text",
    "prose",
    "ranges",
]
