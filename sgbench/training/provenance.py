"""Provenance of a record: code, hardware and data; nothing that names a person or a machine."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import platform
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sgbench.engine.version import ENGINE
from sgbench.records.content import Provenance, SplitName
from sgbench.training import git
from sgbench.version import __version__

PACKAGES = (
    "sgbench",
    "torch",
    "snntorch",
    "pytorch-lightning",
    "hydra-core",
    "omegaconf",
    "pydantic",
    "numpy",
    "numba",
    "scipy",
    "scikit-learn",
    "wandb",
)
GIT_S = 10.0
OWN_CODE = ("sgbench.", "torch.")
"""Beginnings of classes that a commit and a version identify."""
BUILT_FROM = "commit.json"
"""In a wheel: the commit of the checkout that it was built from."""


@dataclass(frozen=True)
class Code:
    """Describes what code runs here: looked up once, since git and the packages' files take 50 ms."""

    commit: str | None  # of the checkout, or None outside of one
    clean: bool | None  # whether the checkout is unchanged, or None where that is not known
    versions: dict[str, str]  # of packages that can change a number
    processor: str  # its model name

    @staticmethod
    def here() -> Code:
        """Look up the commit, versions and processor of this process."""
        package = Path(__file__).resolve().parents[1]
        commit, clean = git_state(
            package
        )  # a checkout's own word goes before a file that somebody left in it
        if commit is None:
            commit, clean = built_from(package / BUILT_FROM) or (None, None)
        return Code(commit, clean, versions(), processor())

    def made_by(self, targets: Mapping[str, str]) -> dict[str, str]:
        """Return commit, versions and hashes of one's own classes, which a checkpoint to continue must share."""
        changed = " with changes" if self.clean is False else ""
        return {"commit": f"{self.commit}{changed}", **self.versions, **own_sources(targets)}


def collect(
    code: Code,
    *,
    device: str,
    threads: int,
    engine: str,
    engine_reason: str,
    data_sha256: str | None,
    truncated: dict[SplitName, int] | None = None,
    targets: Mapping[str, str],
) -> Provenance:
    """Describe the provenance of a run that ends now; `targets` names its classes by their choices.

    `truncated` counts spikes beyond the last step, of the splits that have any.
    """
    foreign = foreign_classes(targets)
    return Provenance(
        commit=code.commit,
        clean=code.clean and not foreign,  # a commit of sgbench does not say what somebody's own code was
        versions=code.versions,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        processor=code.processor,
        device=device,
        threads=threads,
        engine=engine,
        engine_reason=engine_reason,
        data_sha256=data_sha256,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        truncated_spikes=truncated,
        own_sources=own_sources(targets) or None,
    )


def foreign_classes(targets: Mapping[str, str]) -> dict[str, str]:
    """Return the classes from elsewhere by their choices, of all that a run names.

    >>> foreign_classes({"surrogate": "mine.Mine", "neuron": "sgbench.neurons.leaky.Leaky"})
    {'surrogate': 'mine.Mine'}
    """
    return {choice: target for choice, target in targets.items() if not target.startswith(OWN_CODE)}


def own_sources(targets: Mapping[str, str]) -> dict[str, str]:
    """Hash the sources of classes from elsewhere, by their choices; one that cannot be read has none."""
    sources = {choice: source_sha256(target) for choice, target in foreign_classes(targets).items()}
    return {choice: sha256 for choice, sha256 in sources.items() if sha256 is not None}


def source_sha256(target: str) -> str | None:
    """Hash the syntax tree of a class's source, which comments, docstrings and layout do not change.

    Args:
        target: module and name of a class that may be imported.

    Returns:
        SHA-256 in hexadecimal digits; None where the source cannot be read.

    >>> from sgbench.surrogates import atan, zero
    >>> source_sha256("sgbench.surrogates.atan.Atan") == source_sha256("sgbench.surrogates.zero.Zero")
    False
    """
    module, _, name = target.rpartition(".")
    try:
        text = inspect.getsource(getattr(importlib.import_module(module), name))
        tree = _tree(ast.parse(textwrap.dedent(text)))
    except (ImportError, AttributeError, OSError, TypeError, ValueError, SyntaxError):
        return None
    return hashlib.sha256(repr(tree).encode()).hexdigest()


def _tree(node: object) -> object:
    """Reduce a syntax tree to its meaning, in a form that all versions of Python share.

    >>> _tree(ast.parse("x = 1  # one")) == _tree(ast.parse("x=1"))
    True
    """
    if isinstance(node, list):
        return [_tree(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if (
        isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and ast.get_docstring(node) is not None
    ):
        fields["body"] = node.body[1:]
    parts = [(name, _tree(value)) for name, value in sorted(fields.items()) if value not in (None, [])]
    return type(node).__name__, parts


def versions() -> dict[str, str]:
    """Collect the version of the engines' arithmetic and of each package that can change a number, or "missing"."""
    numbers = {"engine": ENGINE}
    for package in PACKAGES:
        try:
            numbers[package] = __version__ if package == "sgbench" else version(package)
        except PackageNotFoundError:
            numbers[package] = "missing"
    return numbers


def built_from(path: Path) -> tuple[str, bool] | None:
    """Read from a wheel the commit it was built from, and whether that was unchanged; None outside of a wheel."""
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
        return str(tree["commit"]), bool(tree["clean"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """Ask git for the commit of the checkout around `folder`, and whether it is unchanged; None, None outside.

    Only a checkout of sgbench itself counts: a wheel inside somebody's project is not that project's commit.
    """
    if not (folder.parent / "pyproject.toml").is_file() or not (folder.parent / ".git").exists():
        return None, None
    commit = _git(folder.parent, "rev-parse", "HEAD")
    words = ("status", "--porcelain", "--untracked-files=normal", "--", "sgbench", "conf", "pyproject.toml")
    changes = _git(folder.parent, *words)
    return commit or None, None if changes is None else not changes


def _git(folder: Path, *words: str) -> str | None:
    try:
        return git.ask(folder, *words, timeout_s=GIT_S).decode().strip()
    except git.FAILURES:
        return None


def processor() -> str:
    """Name the processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.startswith("model name"):
            return _printable(line.partition(":")[2])
    return _printable(platform.processor()) or "unknown"


def _printable(text: str) -> str:
    """Shorten text to one line without control characters, as records demand."""
    return "".join(character for character in " ".join(text.split()) if character.isprintable())[:200]
