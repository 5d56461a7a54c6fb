"""Composes overrides of the command line into a checked `RunSpec`, before torch is loaded."""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sgbench.composition import catalogue
from sgbench.composition.hydra_internals import merge
from sgbench.composition.hydra_node import missing_plugin
from sgbench.composition.overrides import Overrides, Words, one_line
from sgbench.composition.tree import spec_from_config
from sgbench.errors import InputError, require_number, shortened, suggest
from sgbench.paths import default_data_dir, default_runs_dir, with_own
from sgbench.records.spec import RunSpec

EXACT = 2.0**53
"""Below it floating point holds each whole number."""


def _power(base: float, exponent: float) -> float:
    """Return base ** exponent in floating point, quick for any exponent; an int if both are and the result is exact."""
    result = math.pow(base, exponent)
    are_whole = isinstance(base, int) and isinstance(exponent, int) and result.is_integer()
    return int(result) if are_whole and abs(result) < EXACT else result


OPERATIONS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv, ast.Pow: _power,
    ast.USub: operator.neg, ast.UAdd: operator.pos,
}  # fmt: skip
FUNCTIONS: dict[str, Callable[[float], float]] = {"sqrt": math.sqrt}
CONSTANTS = {"pi": math.pi}
LONGEST = 300
"""Largest number of characters, which bounds nodes and depth too."""
HAS = "a formula has + - * / **, brackets, numbers, names that are given a number, pi and sqrt"


def formula_reference(text: str, names: Iterable[str]) -> str:
    """Write the OmegaConf reference that computes a formula from keys beside it in a YAML file.

    >>> formula_reference("alpha / 2", ["alpha", "beta"]), formula_reference("alpha", ["alpha"])
    ("${formula:'alpha / 2',alpha,${.alpha}}", '${.alpha}')
    """
    if text.isidentifier():
        return f"${{.{text}}}"
    used = {node.id for node in ast.walk(ast.parse(text, mode="eval")) if isinstance(node, ast.Name)}
    pairs = "".join(f",{name},${{.{name}}}" for name in names if name in used)
    return f"${{formula:'{text}'{pairs}}}"


def formula(text: str, *pairs: object) -> float:
    """Evaluate a formula; the result is an int if Python's arithmetic on the numbers gives one.

    >>> formula("c * alpha / 2", "c", 0.4, "alpha", 5), formula("n - 1", "n", 2)
    (1.0, 1)
    """
    if not isinstance(text, str) or len(text) > LONGEST:
        raise InputError(f"${{formula:...}}: a text of {LONGEST} characters at most is needed, in quotes")
    if len(pairs) % 2:
        raise InputError(f"${{formula:'{text}'}}: {pairs[-1]} has no number; write names and numbers in turn")
    numbers = dict(zip(map(str, pairs[::2]), pairs[1::2], strict=True))
    for name, value in numbers.items():
        require_number(name, value)
    try:
        result = _value(ast.parse(text, mode="eval").body, {**CONSTANTS, **numbers})
        if math.isfinite(result):
            return result
        reason = f"it is {result}"
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise InputError(f"${{formula:'{text}'}}: {HAS}") from error
    except (ArithmeticError, ValueError) as error:
        if isinstance(error, InputError):
            raise InputError(f"${{formula:'{text}'}}: {error}") from error
        reason = str(error)
    inputs = ", ".join(f"{name}={value}" for name, value in numbers.items())
    raise InputError(f"{inputs}: {text} has no value ({reason}); choose another".removeprefix(": "))


def _value(node: ast.expr, numbers: dict[str, Any]) -> Any:
    """Evaluate a node of the parsed formula; `numbers` maps names to values."""
    match node:
        case ast.BinOp(left, operation, right) if type(operation) in OPERATIONS:
            return OPERATIONS[type(operation)](_value(left, numbers), _value(right, numbers))
        case ast.UnaryOp(sign, operand) if type(sign) in OPERATIONS:
            return OPERATIONS[type(sign)](_value(operand, numbers))
        case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
            return FUNCTIONS[name](_value(argument, numbers))
        case ast.Name(name) if name in numbers:
            return numbers[name]
        case ast.Constant(value) if type(value) in (int, float):
            return value
    raise InputError(f"{shortened(ast.unparse(node), 40)}: {HAS}")


ELSEWHERE = {
    "accelerator": "trainer.device", "accumulate_grad_batches": "protocol.batch_size",
    "batch_size": "protocol.batch_size", "deterministic": "seed", "num_workers": "trainer.batches_ahead",
    "early_stopping": "protocol.patience", "enable_progress_bar": "trainer.progress",
    "gradient_clip_val": "clip_norm", "learning_rate": "optimizer.lr",
    "log_every_n_steps": "trainer.log_every_steps", "max_epochs": "protocol.epochs",
    "num_epochs": "protocol.epochs", "precision": "protocol.precision",
}  # fmt: skip
"""Maps names of settings in Lightning and other libraries to the keys that they have here."""


def decay_per_step(tau_s: float, dt_s: float) -> float:
    r"""Return the factor by which a leaky quantity shrinks in one time step, :math:`e^{-dt/\tau}`.

    In YAML: `beta: ${decay:0.010,${protocol.dt_s}}`, so that a change of time step changes the decay.

    >>> round(decay_per_step(0.010, 0.001), 4)
    0.9048
    """
    tau_s = require_number("tau_s", tau_s, low=0, open_low=True)
    dt_s = require_number("dt_s", dt_s, low=0, open_low=True)
    return math.exp(-dt_s / tau_s)


def default_unless(given: object, default: object) -> object:
    """Return `default`, or None (null in YAML) if another parameter, `given`, is set and replaces this one.

    In YAML: `alpha: ${unless:${.width_fwhm},2.0}`.

    >>> default_unless(None, 2.0), default_unless(0.5, 2.0)
    (2.0, None)
    """
    return default if given is None else None


def register_resolvers() -> None:
    """Register with OmegaConf the functions that references in YAML files of `conf/` call."""
    resolvers: dict[str, Callable[..., object]] = {
        "decay": decay_per_step, "unless": default_unless, "formula": formula,
        "default_runs_dir": lambda: str(default_runs_dir()), "default_data_dir": lambda: str(default_data_dir()),
    }  # fmt: skip
    for name, function in resolvers.items():
        OmegaConf.register_new_resolver(name, function, replace=True)


def compose(overrides: Words = (), *, config_dirs: Iterable[Path] = (), allow_targets: Iterable[str] = ()) -> RunSpec:
    """Merge `conf/` with Hydra overrides into a `RunSpec`, checking all that can be checked without torch.

    >>> compose(["surrogate=atan", "seed=3"]).method.choices["surrogate"]
    'atan'
    """
    folders = list(config_dirs)
    config = raw_config(Overrides.of(overrides), folders)
    return spec_from_config(config, catalogue.CatalogueReader(folders, allow_targets))


def raw_config(overrides: Overrides, config_dirs: Iterable[Path] = ()) -> DictConfig:
    """Merge files and overrides into Hydra's unresolved tree with its `hydra` node; an InputError if it fails."""
    register_resolvers()
    folders = list(dict.fromkeys(folder.resolve() for folder in with_own(config_dirs)))
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"--config-dir {folder}: no such folder")
    _check_choices(overrides, folders)
    try:
        return merge(overrides, folders)
    except InputError:
        raise
    except Exception as error:  # Hydra raises TypeError, OSError and more for unusable overrides
        raise InputError(_explain(error, overrides, folders)) from error


def _check_choices(overrides: Overrides, folders: Sequence[Path]) -> None:
    """Raise an InputError for a chosen entry, or plugin of Hydra, that does not exist; swept choices are skipped."""
    known = [*catalogue.groups(), *(child.name for folder in folders for child in folder.iterdir())]
    for override in overrides.parsed:
        group = str(override.key_or_group).partition("@")[0]
        name = None if override.is_sweep_override() else override.value()
        if isinstance(name, str) and group.startswith("hydra/"):
            missing = missing_plugin(group, name)
            if missing is not None:
                raise InputError(f"{override.input_line}: {missing}")
        if group not in known or override.is_delete():
            continue
        if isinstance(name, str):
            catalogue.entry(group, name, folders)
        if isinstance(name, list) and not all(isinstance(part, str) for part in name):
            raise InputError(f"{override.input_line}: names of entries are needed; see: sgbench list {group}")


def _explain(error: Exception, overrides: Overrides, folders: Sequence[Path]) -> str:
    """Write one line about an error that Hydra raised on merging; for an unknown key, name the nearest one."""
    if any("hydra.sweeper.params" in text for text in overrides.texts):
        return "hydra.sweeper.params: belongs into the file of a sweep; on the command line write -m key=1,2"
    match = re.match(r"Could not (?:override|append|delete)[^']*'([^']+)'", str(error))
    if match is None:
        return one_line(error)
    key = match.group(1)
    usable = Overrides(tuple(override for override in overrides.parsed if key not in (override.input_line or "")))
    if usable == overrides:
        return one_line(error)
    try:
        tree = merge(usable, folders)  # whose keys are the known ones
    except Exception:  # see raw_config
        return one_line(error)
    parent, _, last = key.rpartition(".")
    node = OmegaConf.select(tree, parent) if parent else tree
    if not OmegaConf.is_dict(node):
        return f"key '{key}' is not known; '{parent}' holds no keys"
    if last in ELSEWHERE and (not parent or parent == "trainer"):
        return f"key '{key}' is not known; did you mean {ELSEWHERE[last]}?"
    siblings = [str(name) for name in node if name not in ("hydra", *catalogue.META_KEYS)]
    if not parent:
        siblings.append("experiment")
        nested = [f"{name}.{last}" for name in siblings if OmegaConf.select(tree, f"{name}.{last}") is not None]
        if nested:
            return f"key '{key}' is not known; did you mean {' or '.join(nested)}?"
    return f"key '{key}' is not known; {suggest(last, siblings)}"
