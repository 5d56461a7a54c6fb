"""What some commands print in a terminal of 80 columns."""

from __future__ import annotations

import io
import os
import shlex
from contextlib import redirect_stdout, suppress
from pathlib import Path
from unittest.mock import patch

from sgbench.cli.main import main
from tests.rooms import ROOT

FILE = Path(__file__).parent / "screens.txt"
COLUMNS = 80
MARK = "$ sgbench "
COMMANDS = (
    "board show --from leaderboards --protocol digits_v1",
    "board show --from leaderboards --protocol braille_delta_v2",
    "board show --from leaderboards --protocol yin_yang_v2 --energy",
    "board explain --from leaderboards digits_v1 atan triangle",
    "board tuning --from leaderboards --protocol digits_deep_v1",
    "board across --from leaderboards",
    "recommend --layers 1 --recurrent --steps 80",
    "list loss",
    "list schedule",
    "list optimizer",
    "compare surrogate/atan surrogate/triangle surrogate/zero",
    "energy list",
    "reproduce",
    "list init",
)


class Screen(io.StringIO):
    """Takes what is printed, as a terminal does."""

    def isatty(self) -> bool:
        """A terminal."""
        return True


def printed(command: str, *, columns: int | None = COLUMNS) -> str:
    """What a command prints in the checkout, in a terminal of so many columns; None: into a pipe."""
    out = io.StringIO() if columns is None else Screen()
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        with patch.dict(os.environ, {"COLUMNS": str(columns or COLUMNS)}), redirect_stdout(out), suppress(SystemExit):
            main(shlex.split(command))
    finally:
        os.chdir(before)
    return out.getvalue()


def known() -> dict[str, str]:
    """The screens as they are kept, by command."""
    parts = FILE.read_text().split(MARK)[1:]
    return {head: text for head, _, text in (part.partition("\n") for part in parts)}


def write() -> None:
    """Keep the screens of today."""
    FILE.write_text("".join(f"{MARK}{command}\n{printed(command)}" for command in COMMANDS))
