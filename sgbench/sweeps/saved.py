"""Builds each method of a sweep before it runs, stores the sweep under its name, warns of selection on test data."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from sgbench.composition.overrides import Overrides
from sgbench.errors import InputError, StorageError, suggest
from sgbench.records.base import Strict
from sgbench.records.content import EpochOnTest, Scores
from sgbench.records.files import read_model, require_writable, to_json, write_atomic
from sgbench.records.method import method_id
from sgbench.records.record import RunRecord

if TYPE_CHECKING:
    from sgbench.composition.plan import RunPlan
    from sgbench.training.build import Parts


def build_and_check(planned: RunPlan) -> tuple[Parts | None, dict[str, float | None]]:
    """Build every method once, without data; check that folders can be written and that an online W&B answers.

    Returns the objects of a single run, which may use them (None for a sweep), and a map from each surrogate's name to
    its full width at half maximum [threshold units] in the first layer that has surrogates (None without a width).
    """
    from sgbench.networks.base import surrogates
    from sgbench.training.build import build

    parts = None
    widths: dict[str, float | None] = {}
    built = set()  # ids of methods; seeds of one method need one check
    for spec in planned.specs:
        identity = method_id(spec.method)
        if identity not in built:
            parts = build(spec)
            built.add(identity)
            surrogate = next(iter(surrogates(parts.network)), None)
            widths.setdefault(spec.method.choices["surrogate"], surrogate.fwhm if surrogate else None)
    if any(spec.loggers.get("wandb", {}).get("mode") == "online" for spec in planned.specs):
        from sgbench.training.loggers import require_account, require_server

        require_account()
        require_server()
    for folder in {spec.paths.runs_dir for spec in planned.specs}:
        require_writable(Path(folder))
    return (None if planned.is_sweep else parts), widths


FOLDER = ".sweeps"  # in the folder of runs; hidden, since other folders there are protocols
NAME = re.compile(r"[\w.-]{1,100}")
Words = Annotated[tuple[str, ...], Field(max_length=10_000)]


class Remembered(Strict):
    """Holds the Hydra overrides (`words`) and the options that a sweep was run with."""

    words: Words
    config_dirs: Words
    allow_targets: Words


def remember(runs_dir: Path, group: str, sweep: Remembered) -> None:
    """Store the overrides and options that a group was last run with; do nothing if the folder cannot be written."""
    if NAME.fullmatch(group) and not group.startswith("."):
        try:
            (runs_dir / FOLDER).mkdir(parents=True, exist_ok=True)
            write_atomic(runs_dir / FOLDER / f"{group}.json", to_json(sweep))
        except (OSError, StorageError):
            return


def recall(runs_dir: Path, group: str) -> Remembered:
    """Read the overrides and options that a group was last run with; an InputError if there are none."""
    path = runs_dir / FOLDER / f"{group}.json"
    if not NAME.fullmatch(group) or not path.is_file():
        known = [path.stem for path in (runs_dir / FOLDER).glob("*.json")]
        near = suggest(group, known) if known else "give a sweep a name with group=NAME when it is run"
        raise InputError(f"group={group}: no sweep of that name was run in {runs_dir}; {near}")
    return read_model(path, Remembered)


def to_remember(overrides: Overrides, config_dirs: Sequence[Path], allow_targets: Sequence[str]) -> Remembered:
    """Build the stored form of a sweep from its overrides and options."""
    return Remembered(
        words=tuple(overrides.texts),
        config_dirs=tuple(str(folder.resolve()) for folder in config_dirs),
        allow_targets=tuple(allow_targets),
    )


Pair = tuple[EpochOnTest, Scores]
"""Scores of the epoch that is best on the test set, and the test scores of the epoch that validation selects."""


def optimism_lines(records: Iterable[RunRecord]) -> Iterator[str]:
    """Yield a line for each protocol that compares the best epoch on the test set with the one validation selects.

    Only runs with `trainer.watch_test_score=true` have the first; other records are skipped.
    """
    watched = sorted((record for record in records if record.test_selected), key=lambda record: record.protocol)
    for protocol, runs in itertools.groupby(watched, key=lambda record: record.protocol):  # sorted, as it needs
        pairs = [(run.test_selected, run.test) for run in runs if run.test_selected and run.test]
        by_accuracy = [(best.by_accuracy, test) for best, test in pairs if best.by_accuracy]
        parts = [_describe_gain("accuracy", by_accuracy)] if by_accuracy else []
        parts.append(_describe_gain("loss", [(best.by_loss, test) for best, test in pairs]))
        where = "" if len(pairs) == 1 else f", mean of {len(pairs)} runs on {protocol}"
        yield f"selected on the test set{where}: {'; '.join(parts)}; not a result"


def _describe_gain(by: str, pairs: Sequence[Pair]) -> str:
    """Write the mean score of epochs selected on the test set, and how far it is above the honest test score.

    The test set selects by "accuracy" or "loss" (`by`); there is a pair for each run.

    >>> honest = Scores(samples=1000, accuracy=0.928, loss=0.3, activity=())
    >>> _describe_gain("accuracy", [(EpochOnTest(epoch=17, accuracy=0.939, loss=0.35), honest)])
    'by accuracy 93.9 % at epoch 17, 1.1 points above the honest score'
    """
    where = f" at epoch {pairs[0][0].epoch}" if len(pairs) == 1 else ""
    if any(best.accuracy is None for best, _ in pairs):
        score = f"{fmean(best.loss for best, _ in pairs):.4g}"
        below = fmean(test.loss - best.loss for best, test in pairs)
        return f"by {by} {score}{where}, {below:.2g} below the honest loss"
    score = f"{100 * fmean(best.accuracy or 0.0 for best, _ in pairs):.1f} %"
    points = 100 * fmean((best.accuracy or 0.0) - (test.accuracy or 0.0) for best, test in pairs)
    side = "below" if round(points, 1) < 0 else "above"
    return f"by {by} {score}{where}, {abs(points):.1f} points {side} the honest score"
