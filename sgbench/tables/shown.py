"""What prints itself as a table in a notebook and in a paper."""

from __future__ import annotations

from collections.abc import Sequence

from sgbench.tables.html import as_html
from sgbench.tables.latex import as_latex
from sgbench.tables.table import Table


class ShownTable:
    """Shows its one table as HTML in a notebook and as LaTeX for a paper."""

    def table(self) -> Table:
        """Make the table, as it prints."""
        raise NotImplementedError

    def table_notes(self) -> Sequence[str]:
        """Return lines that stand below the table."""
        return ()

    def to_latex(self) -> str:
        """Write the table as LaTeX with the rules of the package booktabs; every sign of a name is escaped."""
        return as_latex(self.table(), self.table_notes())

    def _repr_html_(self) -> str:
        return as_html(self.table(), self.table_notes())
