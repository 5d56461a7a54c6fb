"""Write the report of a study, or say which of its pages are stale: the same bytes from the same store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sgbench.errors import InputError
from sgbench.recommendation.summary import SUMMARY, StudySummary, read_starts
from sgbench.records.files import read_bytes, to_json, write_atomic
from sgbench.study.comparisons import Rules
from sgbench.study.definition import Loaded
from sgbench.study.elsewhere import Elsewhere, read_elsewhere
from sgbench.study.findings import Findings, RunFacts
from sgbench.study.hypotheses import all_hypotheses
from sgbench.study.initial import read_initial
from sgbench.study.pages import (
    budget,
    claims,
    depth,
    diagnosis,
    forgiving,
    front,
    held_out,
    learning_rules,
    long_sequences,
    neurons,
    references,
    regime_map,
    safety,
    spikes,
    tuned,
    tuning,
)
from sgbench.study.pages.claims_outside import BOARD
from sgbench.study.pages.text import StudyPage
from sgbench.study.registration import (
    Checkout,
    Registration,
    deviations,
    find_registration,
    require_registered,
)
from sgbench.study.scores import read_scores
from sgbench.study.settle import read_settled
from sgbench.study.store import Store
from sgbench.study.summary import later_tasks, summarise

REPORTED = ("surrogates",)
"""Studies whose hypotheses and pages are known; those that extend them have the same pages and no hypotheses."""
PAGES = (
    regime_map,
    tuning,
    long_sequences,
    tuned,
    forgiving,
    spikes,
    safety,
    depth,
    diagnosis,
    learning_rules,
    neurons,
    held_out,
    claims,
    references,
    budget,
)
KEYWORD = "Description"
"""Under which a picture carries the hash of its numbers."""
BOOTSTRAP_SEED = 19
UNVERIFIED = (
    "> **Not verified.** This report was written without a checkout, so nobody has compared the commits of its "
    "records with the registration's."
)
MAX_PICTURE_BYTES = 20 * 1024**2


@dataclass(frozen=True)
class Report:
    """Holds the pages of a report, the front page first, and a line that each of them carries on top."""

    pages: tuple[StudyPage, ...]
    banner: str = ""
    summary: StudySummary | None = None

    def write_summary(self, folder: Path) -> bool:
        """Write the summary that recommendations are fitted to beside the records; return whether it was stale.

        Raises:
            StorageError: the folder cannot be written.
        """
        stale = self.summary_is_stale(folder)
        if stale and self.summary is not None:
            write_atomic(folder / SUMMARY, to_json(self.summary))
        return stale

    def summary_is_stale(self, folder: Path) -> bool:
        """Say whether a store's folder has another summary than its records give, or none."""
        return self.summary is not None and _bytes(folder / SUMMARY) != to_json(self.summary)

    def write(self, folder: Path) -> list[str]:
        """Write the report's pages and pictures that are missing or differ; return their names.

        Raises:
            StorageError: the folder cannot be written.
        """
        from sgbench.plots import style

        stale = self.stale(folder)
        for page in self.pages:
            if page.name in stale:
                write_atomic(folder / page.name, page.text(self.banner).encode())
            for picture in page.pictures:
                if picture.name in stale:
                    data = style.encode(picture.draw, ".png", texts={KEYWORD: picture.digest})
                    write_atomic(folder / picture.name, data)
        return stale

    def stale(self, folder: Path) -> list[str]:
        """List the report's pages and pictures that a folder lacks or has otherwise.

        A picture is compared by the numbers that it was drawn from: another release of a library for pictures may
        give other bytes.
        """
        names = []
        for page in self.pages:
            if _bytes(folder / page.name) != page.text(self.banner).encode():
                names.append(page.name)
            for picture in page.pictures:
                if f"{KEYWORD}\0{picture.digest}".encode() not in _bytes(folder / picture.name):
                    names.append(picture.name)
        return names


def _bytes(path: Path) -> bytes:
    """Read the bytes of a file; return None where there is none."""
    return read_bytes(path, limit=MAX_PICTURE_BYTES) if path.is_file() else b""


def make_report(
    loaded: Loaded, store: Store, *, checkout: Checkout | None, rules: Rules | None = None
) -> Report:
    """Read a store, decide every hypothesis, and write the report's pages in memory.

    Args:
        loaded: the study.
        store: of its records.
        checkout: with the registration's commit; None: nothing is verified, and every page says so.
        rules: how comparisons are decided; the study's own by default.

    Raises:
        InputError: there is no report of this study, the store is damaged, or a record is not of the registered
            study.
    """
    if {loaded.name, loaded.study.extends}.isdisjoint(REPORTED):
        raise InputError(
            f"study {loaded.name}: no report is known of it; there is one of {', '.join(REPORTED)}"
        )
    findings = find(loaded, store, checkout=checkout, rules=rules or Rules())
    pages = [module.page(findings) for module in PAGES]
    banner = UNVERIFIED if checkout is None else ""
    return Report((front.page(findings, pages), *pages), banner, findings.summary)


def find(loaded: Loaded, store: Store, *, checkout: Checkout | None, rules: Rules) -> Findings:
    """Compute from a store the scores, verdicts and facts that the pages are written from.

    Raises:
        InputError: see `make_report`.
    """
    entries = list(store.entries())
    manifest = store.manifest()
    settled = read_settled(store.folder)
    registration: Registration | None = None
    if checkout is not None:
        registration = find_registration(loaded, checkout)
        if manifest is not None:
            require_registered(registration, checkout, manifest, entries)
    listed: Sequence[str] = ()
    if manifest is not None:
        listed = deviations(loaded, settled, manifest, entries, registration)
    scores = read_scores(loaded.study, settled, entries)
    generator = np.random.Generator(np.random.PCG64(BOOTSTRAP_SEED))
    facts = [RunFacts.of(entry) for entry in entries]
    results = [] if loaded.study.extends else all_hypotheses(scores, rules, generator=generator)
    starts = read_starts(store.folder)
    summary = summarise(loaded, scores, entries, starts, manifest)
    elsewhere = Elsewhere() if checkout is None else read_elsewhere(checkout.folder, (BOARD,))
    findings = Findings(
        *(loaded, scores, results, rules, facts, manifest, registration, listed, summary, elsewhere),
        read_initial(store.folder),
    )
    later = later_tasks(loaded, held_out.regrets_of_advice(findings), entries, starts)
    return replace(findings, summary=summary.model_copy(update={"later": later}))
