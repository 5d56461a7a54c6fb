"""Which records a report refuses: commits before the registration, unknown ones, and files never committed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest
import yaml

from sgbench.errors import InputError
from sgbench.study_runner.definition import Loaded, load_study
from sgbench.study_runner.scores import settle
from sgbench.study_runner.store import Manifest, Shard, StoreEntry
from study.reporting.registration import (
    Checkout,
    Departure,
    Registration,
    deviations,
    find_registration,
    require_registered,
)
from tests.messages import lines_naming, raises_naming
from tests.study.toy import TREE
from tests.study.truth import SETTLED, Outcome, entries, planned, study

DOCUMENT = "docs/preregistration.md"


class Repository:
    """A git repository with a commit before the registration, the registration, and a commit after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.before = self.commit("code.py", "1")
        (folder / "conf/study").mkdir(parents=True)
        (folder / "conf/study/toy.yaml").write_text(yaml.safe_dump(TREE))
        self.registered = self.commit(DOCUMENT, "what is asked")
        self.after = self.commit("code.py", "2")

    def git(self, *words: str) -> str:
        """What git prints."""
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
        done = subprocess.run(
            ["git", "-C", str(self.folder), *identity, *words],  # noqa: S607 - the test's own git
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )
        return done.stdout.strip()

    def commit(self, name: str, text: str, subject: str = "a change") -> str:
        """Write a file and commit everything; returns the commit."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")

    @property
    def checkout(self) -> Checkout:
        """The repository as a report asks it."""
        found = Checkout.around(self.folder / "docs", DOCUMENT)
        assert found is not None
        return found

    @property
    def loaded(self) -> Loaded:
        """The study as it stands in the working tree."""
        return load_study("toy", [self.folder / "conf"])

    @property
    def registration(self) -> Registration:
        """What the repository says."""
        return find_registration(self.loaded, self.checkout)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """One for each test, since tests commit to it."""
    return Repository(tmp_path / "repository")


def one_record(commit: str | None, *, clean: bool = True) -> list[StoreEntry]:
    """A record that claims a commit."""
    run = planned(study().study, ["A2"], SETTLED, ["T1"])[0]
    return entries([run], lambda point, settings: Outcome(), commit=commit, clean=clean)


def manifest(loaded: Loaded, **changes: object) -> Manifest:
    """What a store that was written with this study says."""
    return Manifest(study="toy", study_sha256=loaded.sha256, shards=()).model_copy(update=changes)


def test_the_registration_is_the_commit_that_added_its_page(repository: Repository) -> None:
    """A later amendment is a second version, with its day and subject; the first stays the registration."""
    repository.commit(DOCUMENT, "what is asked\n\nand more", "first amendment")
    found = repository.registration
    assert found.commit == repository.registered
    assert [version.subject for version in found.registered] == ["a change", "first amendment"]
    assert found.files[0].sha256 == repository.loaded.sha256


def test_records_after_the_registration_pass(repository: Repository) -> None:
    """The registration's own commit and every one that descends from it."""
    for commit in (repository.registered, repository.after):
        require_registered(
            repository.registration, repository.checkout, manifest(repository.loaded), one_record(commit)
        )


@pytest.mark.one_in(8)
@pytest.mark.parametrize("which", ["before", "unknown", "none", "beside"])
def test_other_records_are_refused(repository: Repository, which: str) -> None:
    """Made before it, by a commit that git does not know, by none, or on a branch that left before it."""
    repository.git("checkout", "-q", "-b", "beside", repository.before)
    beside = repository.commit("other.py", "3")
    repository.git("checkout", "-q", "main")
    commit = {"before": repository.before, "unknown": "f" * 40, "none": None, "beside": beside}[which]
    with raises_naming(InputError, (commit or "none")[:12], "descend"):
        require_registered(
            repository.registration, repository.checkout, manifest(repository.loaded), one_record(commit)
        )


def test_changes_on_top_of_a_commit_are_refused(repository: Repository) -> None:
    """The commit descends, the code did not lie in it."""
    with pytest.raises(InputError, match="with uncommitted changes"):
        require_registered(
            repository.registration,
            repository.checkout,
            manifest(repository.loaded),
            one_record(repository.after, clean=False),
        )


def test_a_study_file_that_was_never_committed_is_refused(repository: Repository) -> None:
    """Must differ: an older committed version passes; what stands in the working tree alone does not."""
    first = repository.loaded
    path = repository.folder / "conf/study/toy.yaml"
    path.write_text(path.read_text() + "# more\n")
    changed = repository.loaded
    assert changed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != first.sha256
    with pytest.raises(InputError, match="no committed version"):
        require_registered(repository.registration, repository.checkout, manifest(changed), [])
    repository.git("add", "-A")
    repository.git("commit", "-q", "-m", "an amendment")
    for version in (first, changed):
        require_registered(repository.registration, repository.checkout, manifest(version), [])


def test_outside_of_a_checkout_there_is_nothing_to_ask(tmp_path: Path, repository: Repository) -> None:
    """No repository, and a repository without the registration."""
    assert Checkout.around(tmp_path, DOCUMENT) is None
    assert Checkout.around(repository.folder, "docs/other.md") is None


WITHDRAWN = [Departure("Block C is withdrawn", str(study().study.blocks["C"].withdrawn))]


def test_deviations_are_listed() -> None:
    """A new epoch with its commits, a changed file, and two records that the plan does not have."""
    runs = planned(study().study, ["A2"], SETTLED, ["T1"])[:3]
    stored = entries(runs, lambda point, settings: Outcome())
    assert deviations(study(), SETTLED, manifest(study()), stored, None) == WITHDRAWN
    stray = [StoreEntry(one.block, one.task, {**one.cell, "optimizer.lr": 0.5}, one.record) for one in stored[:2]]
    shard = Shard(name="A2-000.jsonl.xz", block="A2", sha256="0" * 64, records=1, bytes=1, commits=("b" * 40,), epoch=1)
    listed = deviations(
        study(), SETTLED, manifest(study(), study_sha256="1" * 64, shards=(shard,)), [*stored, *stray], None
    )
    epoch, changed, *withdrawn, records = listed
    epoch, changed, records = map(str, (epoch, changed, records))
    assert lines_naming(epoch, "epoch 1", "b" * 12, "A2")
    assert lines_naming(changed, "study's file", "changed")
    assert withdrawn == WITHDRAWN
    assert lines_naming(records, "2 records", "A2", "T1", "plan")


def test_settled_cells_that_records_do_not_give_are_a_deviation() -> None:
    """The best cell by validation passes; must differ: another one, as somebody might write it into the file."""
    runs = [run for run in planned(study().study, ["A1"], {}, ["T3"]) if run.seed == 100]
    best = runs[4].cell["width_fwhm"]
    stored = entries(runs, lambda run, settings: Outcome(validation=80 + (run.cell["width_fwhm"] == best)), {})
    settled = {"A1": settle(stored, study().study.blocks["A1"].settles)}  # type: ignore[arg-type]
    assert settled["A1"]["T3"][0]["width_fwhm"] == best
    assert deviations(study(), settled, manifest(study()), stored, None) == WITHDRAWN
    settled["A1"]["T3"][0]["width_fwhm"] = 0.123
    *withdrawn, by_hand = deviations(study(), settled, manifest(study()), stored, None)
    assert withdrawn == WITHDRAWN
    assert lines_naming(str(by_hand), "A1", "stored records")


def test_a_changed_study_file_is_a_deviation_with_its_subject(repository: Repository) -> None:
    """The day is git's; the subject is what the commit says."""
    loaded = repository.loaded
    path = repository.folder / "conf/study/toy.yaml"
    repository.commit("conf/study/toy.yaml", path.read_text() + "# more\n", "core: margins")
    listed = deviations(repository.loaded, {}, manifest(loaded), [], repository.registration)
    assert len(listed) == 2
    assert str(listed[1]).endswith(": core: margins.")
