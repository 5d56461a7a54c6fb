"""A base class of values that a notebook and a paper show as a table."""

from collections.abc import Sequence

from sgbench.tables.html import as_html
from sgbench.tables.latex import as_latex
from sgbench.tables.table import Table


class ShownTable:
    """Shows the table of a subclass as HTML in a notebook and as LaTeX in a paper."""

    def table(self) -> Table:
        raise NotImplementedError

    def table_notes(self) -> Sequence[str]:
        return ()

    def to_latex(self) -> str:
        """Write the table as LaTeX with the rules of the package booktabs; all text is escaped."""
        return as_latex(self.table(), self.table_notes())

    def _repr_html_(self) -> str:
        return as_html(self.table(), self.table_notes())
