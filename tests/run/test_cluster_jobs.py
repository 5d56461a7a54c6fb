"""Jobs of a cluster without a cluster: what they tell by files, and what is done with those that were lost.

Expected by hand; `make test-cluster` has the real thing.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sgbench.cli.main import main
from sgbench.composition.compose import raw_config
from sgbench.composition.overrides import Overrides
from sgbench.composition.plan import plan
from sgbench.errors import InputError, StorageError
from sgbench.records.content import EpochScores
from sgbench.replicas import cluster as room
from sgbench.replicas.cluster import MOST_BYTES, ClusterPool, JobNeeds
from sgbench.replicas.grouping import PointGroup
from sgbench.replicas.jobs import STOP, GroupJob, ProgressReader, ProgressWriter
from sgbench.replicas.messages import WorkerMessage
from sgbench.replicas.where import Where, where_of
from sgbench.training.provenance import Code
from tests.messages import lines_naming, raises_naming
from tests.run.tiny import WORDS

SPECS = plan([*WORDS, "seed=0,1,2"], multirun=True).specs
LINE = EpochScores(epoch=0, train_loss=1.0, validation_loss=0.5, validation_accuracy=0.25)
Act = Callable[[GroupJob, ProgressWriter], None]


class Acted:
    """A cluster whose n-th job does what the n-th act says, at once, and has ended then.

    Args:
        acts: of the jobs in the order in which they are handed in.
    """

    job_type = GroupJob

    def __init__(self, *acts: Act) -> None:
        self.acts = list(acts)
        self.handed_in: list[list[int]] = []
        self.cancelled: list[str] = []
        self.closed = False

    def start(self, jobs: Sequence[GroupJob], needs: JobNeeds) -> Sequence[str]:
        """Act."""
        handles = []
        for job in jobs:
            self.handed_in.append([place for place, _ in job.points])
            writer = ProgressWriter(job.progress)
            self.acts.pop(0)(job, writer)
            writer.flush()
            handles.append(job.name)
        return handles

    def ended(self, handles: Sequence[str]) -> Mapping[str, str]:
        """All have."""
        return dict.fromkeys(handles, "was lost")

    def waits(self) -> Sequence[str]:
        """None does."""
        return ()

    def cancel(self, handles: Sequence[str]) -> None:
        """Take note."""
        self.cancelled = list(handles)

    def close(self) -> None:
        """Take note."""
        self.closed = True


def ends(job: GroupJob, writer: ProgressWriter) -> None:
    """All points have their records."""
    for place, _ in job.points:
        writer.say(WorkerMessage(place, "epoch", epochs=1, selected=LINE))
        writer.say(WorkerMessage(place, "ended"))


def gets_on(job: GroupJob, writer: ProgressWriter) -> None:
    """The first point ends, the others have an epoch, and the job is lost."""
    for place, _ in job.points:
        writer.say(WorkerMessage(place, "epoch", epochs=1))
    writer.say(WorkerMessage(job.points[0][0], "ended"))


def dies(job: GroupJob, writer: ProgressWriter) -> None:
    """Nothing is ever said."""


def pool_of(
    cluster: Any, root: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any
) -> tuple[ClusterPool, list[WorkerMessage]]:
    """A pool that does not wait, and what it hears; every record is there."""
    monkeypatch.setattr(room, "TICK_S", 0.0)
    monkeypatch.setattr(room, "GRACE_S", 0.0)
    monkeypatch.setattr(room, "stored_record", lambda spec: f"record of {spec.seed}")
    heard: list[WorkerMessage] = []
    limits = {"largest": None, "most_bytes": None, **settings}
    return ClusterPool(SPECS, cluster, root, hear=heard.append, tick=lambda: None, **limits), heard


def test_points_end_with_their_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is read by the sweep, not sent; nothing is left of the jobs."""
    cluster = Acted(ends, ends)
    pool, heard = pool_of(cluster, tmp_path, monkeypatch)
    pool.run([PointGroup((0, 1)), PointGroup((2,))])
    assert {told.point: told.record for told in heard if told.kind == "ended"} == {
        place: f"record of {place}" for place in range(3)
    }
    assert cluster.closed
    assert list((tmp_path / ".jobs").iterdir()) == []


def test_what_lost_jobs_leave_is_handed_in_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that got on: the rest together. One that did not: point by point. A point that never gets on: refused."""
    cluster = Acted(gets_on, dies, ends, dies)
    pool, heard = pool_of(cluster, tmp_path, monkeypatch)
    pool.run([PointGroup((0, 1, 2))])
    assert cluster.handed_in == [[0, 1, 2], [1, 2], [1], [2]]
    last = {told.point: told for told in heard if told.kind in ("ended", "refused")}
    assert {place: told.kind for place, told in last.items()} == {0: "ended", 1: "ended", 2: "refused"}
    assert last[2].line.startswith("its job was lost; its log is in ")
    assert (tmp_path / ".jobs").is_dir()
    assert len(list((tmp_path / ".jobs").iterdir())) == 1


def test_an_interrupt_asks_jobs_to_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: the file that jobs look for, and the handles of those that have not ended."""
    cluster = Acted(gets_on)
    pool, _ = pool_of(cluster, tmp_path, monkeypatch)

    def interrupt() -> None:
        raise KeyboardInterrupt

    pool.tick = interrupt
    monkeypatch.setattr(room, "GRACE_S", 60.0)
    with pytest.raises(KeyboardInterrupt):
        pool.run([PointGroup((0, 1))])
    assert cluster.cancelled == ["1"]
    assert cluster.closed
    assert (pool.folder / STOP).exists()


def test_refused_jobs_leave_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster that takes none of them has written no log worth keeping."""

    def refuse(*_: object) -> None:
        raise InputError("hydra.launcher.on=slurm: no such partition")

    cluster = Acted()
    monkeypatch.setattr(cluster, "start", refuse)
    pool, _ = pool_of(cluster, tmp_path, monkeypatch)
    with pytest.raises(InputError, match="no such partition"):
        pool.run([PointGroup((0, 1))])
    assert cluster.closed
    assert list((tmp_path / ".jobs").iterdir()) == []


@pytest.mark.slow
def test_memory_is_what_the_replicas_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From `need_bytes`: more replicas need no less; at most what was said; a large network more than a small."""
    pool, _ = pool_of(Acted(), tmp_path, monkeypatch)
    one, three = (pool.needs(PointGroup(places)).memory_bytes for places in ((0,), (0, 1, 2)))
    assert (400 << 20) < one <= three < MOST_BYTES
    pool.specs = plan([*WORDS, "protocol.hidden=[4096,4096]", "seed=0,1,2"], multirun=True).specs
    # By hand: 11 copies of 64 x 4096 + 4096 x 4096 weights and more, 4 bytes each, over 0.7.
    weights = 4096 * 4096
    assert pool.needs(PointGroup((0,))).memory_bytes > 11 * 4 * weights / 0.7
    limited, _ = pool_of(Acted(), tmp_path, monkeypatch, most_bytes=1 << 20)
    assert limited.needs(PointGroup((0, 1, 2))).memory_bytes < 1 << 30


def test_a_finished_record_needs_no_word_of_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that could not tell, as on a full disk: its record does. Must differ: the point without one."""
    cluster = Acted(dies, dies)
    pool, heard = pool_of(cluster, tmp_path, monkeypatch)
    monkeypatch.setattr(room, "finished_record", lambda spec: "record" if spec.seed == 0 else None)
    pool.run([PointGroup((0,)), PointGroup((1,))])
    assert [told.kind for told in heard if told.kind != "noted"] == ["ended", "refused"]


def test_a_full_disk_ends_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written at the next try."""

    def full(*_: object) -> None:
        raise StorageError("no space left")

    writer, reader = ProgressWriter(tmp_path / "1.json"), ProgressReader(tmp_path / "1.json", 0)
    monkeypatch.setattr("sgbench.replicas.jobs.write_atomic", full)
    writer.say(WorkerMessage(0, "ended"))
    assert reader.news() == []
    monkeypatch.undo()
    writer.flush()
    assert reader.news() == [WorkerMessage(0, "ended")]


# --- files in place of a pipe


def test_a_reader_tells_what_is_new(tmp_path: Path) -> None:
    """Each word once, scores as they were; a file that is not there, or is torn, says nothing."""
    path = tmp_path / "1.json"
    writer, reader = ProgressWriter(path), ProgressReader(path, 0)
    assert reader.news() == []
    told = [WorkerMessage(0, "epoch", epochs=1, selected=LINE), WorkerMessage(1, "refused", line="no", exit_code=2)]
    for each in told:
        writer.say(each)
    writer.flush()
    assert reader.news() == told
    writer.say(WorkerMessage(0, "noted", line="one by one"))
    writer.say(WorkerMessage(0, "ended"))
    writer.flush()
    assert reader.news() == [WorkerMessage(0, "noted", line="one by one"), WorkerMessage(0, "ended")]
    path.write_text('{"notes": [')
    assert reader.news() == []


def job(tmp_path: Path, **settings: Any) -> GroupJob:
    """A job of the first point."""
    made: dict[str, Any] = {
        "points": [(0, SPECS[0])],
        "folder": tmp_path,
        "name": "1",
        "alone": False,
        "largest": None,
        "memory_bytes": 1 << 30,
        "thresholds": {},
        "made_by": Code.here().made_by({}),
    }
    return GroupJob(**made | settings)


def test_other_versions_run_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: which package, both versions, exit code of bad input; no worker is made."""
    monkeypatch.setattr("sgbench.replicas.group_worker.GroupWorker", lambda *_, **__: pytest.fail("was run"))
    other = job(tmp_path, made_by={**Code.here().made_by({}), "torch": "1.0"})
    other()
    (told,) = ProgressReader(other.progress, 0).news()
    assert (told.kind, told.exit_code) == ("refused", 2)
    assert "in place of 1.0" in told.line
    assert "torch" in told.line


def test_a_job_that_is_asked_to_stop_before_it_begins_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expected: not even a worker."""
    monkeypatch.setattr("sgbench.replicas.group_worker.GroupWorker", lambda *_, **__: pytest.fail("was run"))
    (tmp_path / STOP).touch()
    job(tmp_path)()


@pytest.mark.slow
def test_a_job_can_hear_signals_before_torch_is_loaded() -> None:
    """Its class is what has to be imported before; what was told to leave meanwhile would be killed."""
    code = "import sgbench.replicas.slurm_job, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- words


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"on": "slrum"}, "hydra.launcher.on='slrum': one of local, slurm, ray is needed"),
        ({"on": "slurm", "timeout_min": 0}, "hydra.launcher.timeout_min=0"),
        ({"on": "slurm", "memory_gb": 0.0}, "hydra.launcher.memory_gb=0.0"),
        ({"on": "ray", "partition": "main"}, "are of hydra.launcher.on=slurm"),
    ],
)
def test_a_wrong_setting_is_one_line(settings: dict, said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.").replace("(", r"\(")):
        where_of(settings)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("word", ["slurm={account: mine}", "slurm.account=mine"])
def test_settings_of_the_cluster_are_any_keys(word: str) -> None:
    """Expected: as written. Must differ: a key of ours that is misspelt."""
    words = [*WORDS, "hydra/launcher=replicas", f"hydra.launcher.{word}"]
    assert raw_config(Overrides.of(words)).hydra.launcher.slurm == {"account": "mine"}
    with raises_naming(InputError, "'hydra.launcher.partitoin'", "'partition'"):
        raw_config(Overrides.of([*words, "hydra.launcher.partitoin=main"]))


@pytest.mark.parametrize("on", ["slurm", "ray"])
def test_what_is_not_installed_is_named(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expected: the extra."""
    for name in ("slurm", "cluster"):
        monkeypatch.setattr(f"sgbench.replicas.{name}.find_spec", lambda _: None)
    with pytest.raises(InputError, match=rf"pip install 'sgbench\[{on}\]'"):
        Where(on=on).cluster(None)


def test_no_slurm_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By the command: exit code 2, the program that is not there, what to do."""
    monkeypatch.setattr("sgbench.replicas.slurm.find_spec", lambda _: object())
    monkeypatch.setattr("shutil.which", lambda _: None)
    words = ["run", "-m", *WORDS, "hydra/launcher=replicas", "hydra.launcher.on=slurm", "seed=0,1"]
    assert main(words) == 2
    (told,) = capfd.readouterr().err.splitlines()  # and none that says of a point that it has no record
    assert lines_naming(told, "sbatch", "PATH")
    assert "hydra.launcher.on=local" in told
