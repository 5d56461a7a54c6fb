"""A real SLURM of one node, with all its files in a passing folder, for as long as tests of it run."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "sinfo")
LONGEST_S = 60
LEAVE_S = 10
CONF = """\
ClusterName=sgbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmctldPort={controller}
SlurmdPort={daemon}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
KillWait=20
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Why there can be no SLURM here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name, path=search_path()) is None]
    if absent:
        return f"{absent[0]} is not installed (Debian: slurm-wlm munge)"
    if os.geteuid() != 0:
        return "slurmd and munged are started as root"
    return None if find_spec("submitit") else "submitit is not installed (sgbench[slurm])"


def search_path() -> str:
    """Where programs are, those of the system's own included."""
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def wait_until(is_so: object, what: str, longest_s: float = LONGEST_S) -> None:
    """Ask until it is so."""
    until_s = time.monotonic() + longest_s
    while not is_so():  # type: ignore[operator]
        assert time.monotonic() < until_s, what
        time.sleep(0.2)


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a running SLURM, which `SLURM_CONF` points to."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder, controller=free_port(), daemon=free_port()))
    (folder / "cgroup.conf").write_text("CgroupPlugin=disabled\n")
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o400)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ |= {"SLURM_CONF": str(conf), "PATH": search_path()}
    started = []
    try:
        started.append(_started(folder, "munged", *_munge_options(folder)))
        wait_until((folder / "munge.socket").exists, "munged has no socket")
        started.append(_started(folder, "slurmctld", "-D", "-c", "-f", str(conf)))
        started.append(_started(folder, "slurmd", "-D", "-f", str(conf), "-N", host))
        wait_until(_is_idle, f"the node is not idle; see {folder}/*.log")
        yield folder
        subprocess.run(["scancel", "--user=root", "--signal=KILL"], check=False)
    finally:
        for process in reversed(started):
            _end(process)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _munge_options(folder: Path) -> list[str]:
    places = ("socket", "key-file", "log-file", "pid-file", "seed-file")
    return ["--foreground", "--force", *(f"--{name}={folder}/munge.{name.partition('-')[0]}" for name in places)]


def _started(folder: Path, *command: str) -> subprocess.Popen[bytes]:
    with (folder / f"{command[0]}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to leave; slurmd may wait for jobs that are gone."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(LEAVE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_idle() -> bool:
    done = subprocess.run(["sinfo", "--noheader", "--format=%t"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "idle"


@pytest.fixture(scope="session")
def ray_here() -> None:
    """Skips where there is no Ray."""
    if find_spec("ray") is None:
        pytest.skip("ray is not installed (sgbench[ray])")
