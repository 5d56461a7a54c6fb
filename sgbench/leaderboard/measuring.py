"""A tree of records, read and measured; a large one by all processors."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sgbench.errors import InputError
from sgbench.leaderboard.rows import Measured, measure
from sgbench.leaderboard.store.dossier import read_dossiers
from sgbench.leaderboard.store.reading import Finding, Layout
from sgbench.leaderboard.store.tree import RecordTree, read_paths
from sgbench.records.energy import EnergyTarget

MANY = 1000
"""Records from which other processes are worth their start."""
SHARES = 8
"""Parts of the work for each process, so that none waits long for another."""


@dataclass(frozen=True)
class _Part:
    measured: list[tuple[str, Measured]]  # with the protocol
    findings: list[Finding]


def measure_all(
    tree: RecordTree,
    *,
    targets: tuple[EnergyTarget, ...] = (),
    meanwhile: Callable[[], object] | None = None,
) -> tuple[dict[str, list[Measured]], list[Finding]]:
    """Measure the methods of a tree by protocol, and name the files that were left out.

    Args:
        tree: the records; see `sgbench.leaderboard.store.tree.read_methods`.
        targets: price lists.
        meanwhile: done by this process while others read, if there are others.

    Raises:
        InputError: the root is no folder, or has none for the protocol asked for.
    """
    paths, findings = tree.candidates()
    for path in paths[:: max(1, len(paths) // SHARES)]:
        with suppress(InputError):  # which each of its records will say
            tree.references.of(path.relative_to(tree.root).parts[0])  # composed here, once for all processes
    measured: dict[str, list[Measured]] = {}
    for part in _parts(partial(_part, tree=tree, targets=targets), paths, tree.layout, meanwhile):
        findings += part.findings
        for name, method in part.measured:
            measured.setdefault(name, []).append(method)
    return measured, findings


def ranked(measured: Iterable[Measured], folder: Path) -> list[Measured]:
    """Select the methods that a board ranks: neither withdrawn, nor failed, nor handed in without being repeated.

    Args:
        measured: methods of one protocol.
        folder: of the protocol, in a leaderboards folder.
    """
    dossiers = read_dossiers(folder)
    remaining = []
    for method in measured:
        dossier = dossiers.of(method.method_id)
        if dossier.notice is None and not dossier.is_claimed(method.scores.keys() - set(method.failed_seeds)):
            remaining.append(method)
    return remaining


def processors() -> int:
    """Count the processors that this process may use; 1 where processes are not forked."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _parts(
    work: partial[_Part], paths: list[Path], layout: Layout, meanwhile: Callable[[], object] | None
) -> Iterator[_Part]:
    workers = processors()
    if len(paths) < MANY or workers == 1:
        yield work(paths)
        return
    # Forked, since a new interpreter takes as long to load its modules as thousands of records to read.
    context = multiprocessing.get_context("fork")
    # They are short-lived and make few cycles; looking for these takes a tenth of their time.
    with ProcessPoolExecutor(workers, mp_context=context, initializer=gc.disable) as pool:
        parts = pool.map(work, shares(paths, layout, workers * SHARES))
        if meanwhile is not None:  # the others have been started: nothing of it is copied into them
            meanwhile()
        yield from parts


def shares(paths: Sequence[Path], layout: Layout, count: int) -> list[list[Path]]:
    """Divide the paths of records into so many parts, none of which divides a method.

    Args:
        paths: of records, those of a method side by side.
        layout: of the folder that they are in.
        count: of the parts, at most.
    """
    size = -(-len(paths) // count)
    shares: list[list[Path]] = [[]]
    last = None
    for path in paths:
        method = path.parent if layout == "leaderboards" else path.parent.parent
        if len(shares[-1]) >= size and method != last:
            shares.append([])
        shares[-1].append(path)
        last = method
    return shares


def _part(paths: Sequence[Path], *, tree: RecordTree, targets: tuple[EnergyTarget, ...]) -> _Part:
    findings: list[Finding] = []
    measured = []
    for row in read_paths(paths, tree):
        if isinstance(row, Finding):
            findings.append(row)
            continue
        reference = tree.references.of(row.records[0].protocol)
        _ = reference.measure  # says so where nobody knows what guessing loses
        result = measure(
            row.records,
            row_id=row.row_id,
            classes=reference.classes,
            guess_loss=reference.guess_loss,
            guess_accuracy=reference.guess_accuracy,
            targets=targets,
            dt_s=reference.protocol.dt_s,
        )
        measured.append((reference.protocol.name, result))
    return _Part(measured, findings)
