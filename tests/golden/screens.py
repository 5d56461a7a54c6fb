"""What some commands print in a terminal of 80 columns."""

from __future__ import annotations

import io
import os
import shlex
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stdout, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from rich.console import Console

from sgbench.cli.main import main
from sgbench.composition.plan import plan
from sgbench.records.diagnosis import Diagnosis
from sgbench.replicas.messages import WorkerMessage
from sgbench.replicas.view import SweepView
from sgbench.sweeps.names import name_methods
from sgbench.sweeps.outcome import headline
from tests.cli.filled_sweeps import fill
from tests.leaderboard import factory
from tests.rooms import ROOT

FILE = Path(__file__).parent / "screens.txt"
DIAGNOSIS = FILE.with_name("diagnosis.json")
"""Measured once by the command that is kept, whose last digits depend on the machine."""
ACCURACIES = (0.94, 0.93, 0.95, 0.91, None, 0.92, 0.4, 0.3, 0.5)
"""Of the made-up runs of a sweep; None has failed."""
COLUMNS = 80
MARK = "$ sgbench "
DIAGNOSE = "diagnose "
SHOW = "sweep show "
SWEEP = "run -m hydra/launcher=replicas "
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
    f"{DIAGNOSE}experiment=digits protocol.hidden=[64,64] --batches 1",
    f"{SHOW}surrogate_x_lr surrogate=exponential,zero optimizer.lr=0.01,0.002 seed=0,1 --root runs",
    f"{SWEEP}surrogate=exponential,gaussian width_fwhm=0.2,1 optimizer.lr=0.002 seed=0,1",
)


class Screen(io.StringIO):
    """Takes what is printed, as a terminal does."""

    def isatty(self) -> bool:
        """A terminal."""
        return True


def printed(command: str, *, columns: int | None = COLUMNS) -> str:
    """What a command prints in the checkout, in a terminal of so many columns; None: into a pipe."""
    out = io.StringIO() if columns is None else Screen()
    if command.startswith(SWEEP):
        return _end_of_sweep(shlex.split(command.removeprefix(SWEEP)), columns)
    size = patch.dict(os.environ, {"COLUMNS": str(columns or COLUMNS)})
    with size, _made_for(command), redirect_stdout(out), suppress(SystemExit):
        main(shlex.split(command))
    return out.getvalue()


@contextmanager
def _made_for(command: str) -> Iterator[None]:
    """Stand in the checkout, a kept diagnosis in place of a measured one; or beside the made-up runs of a sweep."""
    diagnosis = Diagnosis.model_validate_json(DIAGNOSIS.read_text())
    with TemporaryDirectory() as folder, chdir(folder if command.startswith(SHOW) else ROOT):
        if command.startswith(SHOW):
            name, *words = shlex.split(command.removeprefix(SHOW))
            fill(name, words[:-2], Path("runs"), ACCURACIES)
        with patch("sgbench.training.diagnose.diagnose_run", return_value=diagnosis):
            yield


def _end_of_sweep(words: list[str], columns: int | None) -> str:
    """What is left on the screen of a sweep whose runs have ended with made-up records."""
    planned = plan(words, multirun=True)
    dumb = {"TERM": "dumb"}  # a terminal of 80 columns where nothing is redrawn
    out = io.StringIO()
    console = Console(
        file=out, color_system=None, width=columns or 200, force_terminal=columns is not None, _environ=dumb
    )
    view = SweepView(planned.specs, {}, partial(headline, names=name_methods(planned)), console)
    for point, (spec, accuracy) in enumerate(zip(planned.specs, ACCURACIES, strict=False)):
        view.hear(
            WorkerMessage(point, "ended", record=factory.record(of=spec.method, seed=spec.seed, accuracy=accuracy))
        )
    view.close()
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def known() -> dict[str, str]:
    """The screens as they are kept, by command."""
    parts = FILE.read_text().split(MARK)[1:]
    return {head: text for head, _, text in (part.partition("\n") for part in parts)}


def write() -> None:
    """Keep the screens of today."""
    FILE.write_text("".join(f"{MARK}{command}\n{printed(command)}" for command in COMMANDS))
