"""Provenance of a record: code, hardware and data; nothing identifies a person or a machine."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import os
import platform
import subprocess
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastspiking.version import ENGINE
from sgbench.paths import ALLOW_HYDRA, allowed
from sgbench.records.content import Provenance, SplitName
from sgbench.records.spec import RunSpec
from sgbench.version import __version__

PACKAGES = (
    "sgbench", "torch", "snntorch", "pytorch-lightning", "hydra-core", "omegaconf", "pydantic", "numpy", "numba",
    "scipy", "scikit-learn", "wandb",
)  # fmt: skip
GIT_S = 10.0
OWN_CODE = ("sgbench.", "torch.")
"""Prefixes of classes that the commit and package versions identify."""
OWN_PRECISIONS = {"32": "float32", "32-true": "float32", "64": "float64", "64-true": "float64"}
"""Values of Lightning's `precision` that every engine computes, and the `protocol.precision` that each has to be."""
BUILT_FROM = "commit.json"
"""File of a wheel with the commit of the checkout that it was built from."""


@dataclass(frozen=True)
class Code:
    """Describes the code that runs in this process; a run looks it up once, since that takes 50 ms."""

    commit: str | None  # of the checkout or wheel, or None if it is not known
    clean: bool | None  # whether the checkout is unchanged, or None if that is not known
    versions: dict[str, str]  # of packages that can change a number
    processor: str  # model name

    @staticmethod
    def here() -> Code:
        """Return the description of the code that runs in this process."""
        package = Path(__file__).resolve().parents[1]
        commit, clean = git_state(package)
        if commit is None:  # no checkout: the file of a wheel
            commit, clean = built_from(package / BUILT_FROM) or (None, None)
        return Code(commit, clean, versions(), processor())

    def made_by(self, targets: Mapping[str, str]) -> dict[str, str]:
        """Return commit, versions and hashes of foreign classes, all of which a continued checkpoint must match."""
        changed = " with changes" if self.clean is False else ""
        return {"commit": f"{self.commit}{changed}", **self.versions, **own_sources(targets)}


def collect(
    code: Code,
    spec: RunSpec,
    *,
    device: str,
    engine: str,
    engine_reason: str,
    data_sha256: str | None,
    truncated: dict[SplitName, int] | None = None,
) -> Provenance:
    """Return the provenance of a run that ends now; the arguments are its fields, or what they are found from."""
    targets = spec.targets
    foreign = foreign_classes(targets)
    return Provenance(
        commit=code.commit,
        # A commit of sgbench does not identify a user's own code.
        clean=code.clean and not foreign and not allowed(ALLOW_HYDRA),
        versions=code.versions,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=code.processor,
        device=device,
        threads=spec.trainer.threads,
        engine=engine,
        engine_reason=engine_reason,
        data_sha256=data_sha256,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        truncated_spikes=truncated,
        own_sources=own_sources(targets) or None,
        trainer=driven_by(spec),
    )


def driven_by(spec: RunSpec) -> dict[str, str] | None:
    """Return what a run gives Lightning's Trainer, by the words that set it; None for the defaults alone."""
    arguments = spec.trainer.arguments.items()
    settings = {f"trainer.{key}": str(value) for key, value in arguments if str(value) not in OWN_PRECISIONS}
    for name, parameters in spec.callbacks.items():
        settings[f"callback.{name}"] = ", ".join(f"{key}={value}" for key, value in parameters.items()) or "default"
    return settings or None


def foreign_classes(targets: Mapping[str, str]) -> dict[str, str]:
    """Return the classes of a run that are neither sgbench's nor torch's, by the choices that name them.

    >>> foreign_classes({"surrogate": "mine.Mine", "neuron": "sgbench.neurons.leaky.Leaky"})
    {'surrogate': 'mine.Mine'}
    """
    return {choice: target for choice, target in targets.items() if not target.startswith(OWN_CODE)}


def own_sources(targets: Mapping[str, str]) -> dict[str, str]:
    """Return hashes of the sources of a run's foreign classes, by choice; without those that cannot be read."""
    sources = {choice: source_sha256(target) for choice, target in foreign_classes(targets).items()}
    return {choice: sha256 for choice, sha256 in sources.items() if sha256 is not None}


def source_sha256(target: str) -> str | None:
    """Hash the syntax tree of a class's source, so that comments, docstrings and layout do not count.

    Returns SHA-256 in hexadecimal digits; None if the source cannot be read.

    >>> from sgbench.surrogates import atan, zero
    >>> source_sha256("sgbench.surrogates.atan.Atan") == source_sha256("sgbench.surrogates.zero.Zero")
    False
    """
    module, _, name = target.rpartition(".")
    try:
        source = inspect.getsource(getattr(importlib.import_module(module), name))
        meaning = _meaning(ast.parse(textwrap.dedent(source)))
    except (ImportError, AttributeError, OSError, TypeError, ValueError, SyntaxError):
        return None
    return hashlib.sha256(repr(meaning).encode()).hexdigest()


def _meaning(node: object) -> object:
    """Reduce a syntax tree to its meaning, in a form that all versions of Python share.

    >>> _meaning(ast.parse("x = 1  # one")) == _meaning(ast.parse("x=1"))
    True
    """
    if isinstance(node, list):
        return [_meaning(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]  # without the docstring
    parts = [(name, _meaning(value)) for name, value in sorted(fields.items()) if value not in (None, [])]
    return type(node).__name__, parts


def versions() -> dict[str, str]:
    """Return the version of the engines' arithmetic, and of each package that can change a number, or "missing"."""
    numbers = {"engine": ENGINE}
    for package in PACKAGES:
        try:
            numbers[package] = __version__ if package == "sgbench" else version(package)
        except PackageNotFoundError:
            numbers[package] = "missing"
    return numbers


def built_from(path: Path) -> tuple[str, bool] | None:
    """Return a wheel's commit, and whether its checkout was unchanged, from its file; None if it cannot be read."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return str(tree["commit"]), bool(tree["clean"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Return the commit of the checkout whose package is `folder`, and whether it is unchanged; None if unknown.

    Only a checkout of sgbench counts, not a project in whose folder sgbench is installed.
    """
    if not (folder.parent / "pyproject.toml").is_file() or not (folder.parent / ".git").exists():
        return None, None
    commit = _git(folder.parent, "rev-parse", "HEAD")
    query = ("status", "--porcelain", "--untracked-files=normal", "--", "sgbench", "conf", "pyproject.toml")
    changes = _git(folder.parent, *query)
    return commit or None, None if changes is None else not changes


def _git(folder: Path, *words: str) -> str | None:
    """Return the output of a git command in a folder, or None if it fails."""
    try:
        return ask(folder, *words, timeout_s=GIT_S).decode().strip()
    except FAILURES:
        return None


def processor() -> str:
    """Return the model name of this machine's processor, or "unknown"."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return _printable(line.partition(":")[2])
    return _printable(platform.processor()) or "unknown"


def _printable(text: str) -> str:
    """Reduce a text to one line of at most 200 printable characters."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())[:200]


QUIET = ("-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null")
"""Options that keep a checkout's own configuration from starting programs during a query."""
FAILURES = (OSError, subprocess.SubprocessError)
"""Errors of `ask` if git is missing, takes too long or fails."""


def ask(folder: Path, *words: str, timeout_s: float = 20.0) -> bytes:
    """Return the output of a git command in a folder; raises one of `FAILURES`."""
    return subprocess.run(  # noqa: S603 - no shell, and words as above
        ["git", *QUIET, "-C", str(folder), *words],  # noqa: S607 - the user's own git
        env=_environment(),
        capture_output=True,
        timeout=timeout_s,
        check=True,
    ).stdout


def _environment() -> dict[str, str]:
    """Return the environment for git: without a user's GIT_ variables, and without programs of the present folder."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    path = [folder for folder in os.get_exec_path() if Path(folder).is_absolute()]
    return {**variables, "PATH": os.pathsep.join(path), "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
