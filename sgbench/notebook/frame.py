"""Tables as pandas has them."""

from __future__ import annotations

from collections.abc import Sequence


def data_frame(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> object:
    """Make a pandas DataFrame.

    Raises:
        InputError: pandas is not installed.
    """
    from sgbench.errors import InputError

    try:
        import pandas as pd  # pyright: ignore[reportMissingImports] - who asks for it has it
    except ImportError as error:
        raise InputError("to_pandas(): pandas is not installed: pip install pandas") from error
    return pd.DataFrame([list(row) for row in rows], columns=list(columns))
