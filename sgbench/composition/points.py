"""Lists the points of a sweep beside its grid: zipped values, lists of overrides, random and Sobol points."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from sgbench.errors import InputError, suggest

POINT_KINDS = ("zip", "list", "random", "sobol")
DRAW_KEYS = ("count", "seed", "ranges")
RANGE_KEYS = ("low", "high", "scale")
SCALES = ("linear", "log")
SIGNIFICANT_DIGITS = 3
MOST_POINTS = 1_000_000
POINTS_KEY = "hydra.sweeper.points"
Overrides = list[str]


def extra_points(node: Any) -> list[Overrides]:
    """List the overrides of each point that a sweep has beside its grid.

    In `zip`, the n-th values of all keys make the n-th point. In `list`, each item holds one point's overrides. For
    `random` and `sobol`, `count` points are drawn from `ranges`, each number with three significant digits. If several
    kinds are given, every point of one kind is combined with every point of the others. `node`: value of the key
    `hydra.sweeper.points`: maps kinds to their content. None gives one empty point.

    >>> extra_points({"zip": {"surrogate": ["atan", "triangle"], "optimizer.lr": [0.01, 0.02]}})
    [['surrogate=atan', 'optimizer.lr=0.01'], ['surrogate=triangle', 'optimizer.lr=0.02']]
    >>> extra_points({"list": ["rule=bptt", "rule=eprop network.recurrence=all_to_all"]})
    [['rule=bptt'], ['rule=eprop', 'network.recurrence=all_to_all']]
    """
    tree: Any = OmegaConf.to_container(node) if isinstance(node, DictConfig | ListConfig) else node
    if tree is None:
        return [[]]
    _require_keys(POINTS_KEY, tree, POINT_KINDS)
    points: list[Overrides] = [[]]
    for kind, content in tree.items():
        if content is not None:
            points_of_kind = list(_READERS[kind](f"{POINTS_KEY}.{kind}", content))
            points = [[*point, *added] for point in points for added in points_of_kind]
    return points


def count_points(node: Any) -> int:
    """Count the points of `extra_points` without drawing random ones; errors are the same, but for ranges.

    >>> count_points({"random": {"count": 20, "ranges": {}}, "list": ["rule=bptt", "rule=dfa"]})
    40
    """
    drawn = {kind: (node or {}).get(kind) for kind in ("random", "sobol")}
    listed = {kind: content for kind, content in (node or {}).items() if kind not in drawn}
    counts = [content.get("count", 0) for content in drawn.values() if content]
    return len(extra_points(listed)) * math.prod(counts)


def combine_points(grid: Sequence[Overrides], extra: Sequence[Overrides]) -> list[Overrides]:
    """Combine every point of a grid with every extra point, grouped by extra point.

    >>> combine_points([["seed=0"], ["seed=1"]], [["rule=bptt"], ["rule=dfa"]])
    [['rule=bptt', 'seed=0'], ['rule=bptt', 'seed=1'], ['rule=dfa', 'seed=0'], ['rule=dfa', 'seed=1']]
    """
    extra_keys = {_key(text) for point in extra for text in point}
    for text in grid[0] if grid else []:  # all points of a grid have the same keys
        if _key(text) in extra_keys:
            raise InputError(
                f"{text}: {POINTS_KEY} has values of {_key(text)} too; leave it out, "
                f"or set {POINTS_KEY}=null and name all"
            )
    if len(grid) * len(extra) > MOST_POINTS:
        raise InputError(f"{len(grid) * len(extra)} points are too many for one sweep, which has at most {MOST_POINTS}")
    # Extra points may choose entries, and Hydra wants choices before values of the chosen entries.
    return [[*chosen, *point] for chosen in extra for point in grid]


def _key(text: str) -> str:
    """Return the key of an override without Hydra's prefixes `+` and `~`."""
    return text.lstrip("+~").partition("=")[0]


def _zip_points(where: str, content: Any) -> Iterator[Overrides]:
    """Yield the points of `zip`, see `extra_points`; `where`: key of `content`, for messages."""
    if not isinstance(content, dict) or not content:
        raise InputError(f"{where}: lists of values by key are needed, e.g. {{surrogate: [atan, triangle]}}")
    values = {key: _value_list(f"{where}.{key}", value) for key, value in content.items()}
    lengths = {key: len(items) for key, items in values.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise InputError(f"{where}: {counts}; as many values of each key are needed")
    for row in zip(*values.values(), strict=True):
        yield [f"{key}={value}" for key, value in zip(values, row, strict=True)]


def _value_list(where: str, value: Any) -> list[str]:
    """Return the values of a key as texts, from a list or from a text with commas as on the command line."""
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, list) or not values or any(isinstance(item, dict) for item in values):
        raise InputError(f"{where}: a list of values is needed")
    return [_value_text(item) for item in values]


def _value_text(value: Any) -> str:
    """Write a value as in an override."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_value_text, value))}]"
    return str(value).strip()


def _list_points(where: str, content: Any) -> Iterator[Overrides]:
    """Yield the points of `list`: each item is a list of overrides, or a text with spaces between them."""
    if not isinstance(content, list) or not content:
        raise InputError(f"{where}: a list of the overrides of each point is needed, e.g. ['rule=bptt', 'rule=dfa']")
    for entry in content:
        point = entry.split() if isinstance(entry, str) else entry
        if not isinstance(point, list) or not all(isinstance(text, str) and "=" in text for text in point):
            raise InputError(f"{where}: {entry}: overrides of the form key=value are needed")
        yield point


def _random_points(where: str, content: Any) -> Iterator[Overrides]:
    import numpy as np

    count, seed, ranges = _read_draw(where, content)
    shares = np.random.default_rng(seed).random((count, len(ranges)))  # of each range, from 0 to 1
    yield from _points_at(ranges, shares.tolist())


def _sobol_points(where: str, content: Any) -> Iterator[Overrides]:
    import numpy as np
    from scipy.stats import qmc

    count, seed, ranges = _read_draw(where, content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns if the number of points is no power of two
        shares = qmc.Sobol(len(ranges), scramble=True, rng=np.random.default_rng(seed)).random(count)
    yield from _points_at(ranges, shares.tolist())


_READERS = {"zip": _zip_points, "list": _list_points, "random": _random_points, "sobol": _sobol_points}


def _read_draw(where: str, content: Any) -> tuple[int, int, dict[str, tuple[float, float, str]]]:
    """Check how points are to be drawn; return their count, the seed, and (low, high, scale) of each key."""
    _require_keys(where, content, DRAW_KEYS)
    count, seed = content.get("count"), content.get("seed", 0)
    for name, number, least in (("count", count, 1), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= MOST_POINTS:
            raise InputError(f"{where}.{name}={number}: a whole number of at least {least} is needed")
    ranges = content.get("ranges")
    if not isinstance(ranges, dict) or not ranges:
        raise InputError(f"{where}.ranges: is needed, e.g. {{optimizer.lr: {{low: 0.001, high: 0.1, scale: log}}}}")
    return count, seed, {key: _read_range(f"{where}.ranges.{key}", ends) for key, ends in ranges.items()}


def _read_range(where: str, content: Any) -> tuple[float, float, str]:
    """Check the range of a key, and return (low, high, scale); the scale is "linear" or "log"."""
    _require_keys(where, content, RANGE_KEYS)
    low, high, scale = content.get("low"), content.get("high"), content.get("scale", "linear")
    for end in (low, high):
        if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
            raise InputError(f"{where}: numbers low and high are needed (given: {end})")
    if scale not in SCALES:
        raise InputError(f"{where}.scale={scale}: {suggest(str(scale), SCALES)}")
    if not low < high or (scale == "log" and low <= 0):
        raise InputError(f"{where}: low below high is needed, and low above 0 on a log scale")
    return float(low), float(high), scale


def _points_at(
    ranges: Mapping[str, tuple[float, float, str]], points: Sequence[Sequence[float]]
) -> Iterator[Overrides]:
    """Convert points of the unit cube, a coordinate for each range, to overrides."""
    for coordinates in points:
        point = []
        for (key, (low, high, scale)), share in zip(ranges.items(), coordinates, strict=True):
            number = low * (high / low) ** share if scale == "log" else low + share * (high - low)
            rounded = min(max(float(f"{number:.{SIGNIFICANT_DIGITS}g}"), low), high)
            point.append(f"{key}={rounded:.12g}")
        yield point


def _require_keys(where: str, content: Any, known: Sequence[str]) -> None:
    """Raise an InputError unless `content` is a dictionary all of whose keys are known."""
    if not isinstance(content, dict):
        raise InputError(f"{where}: a mapping with keys among {', '.join(known)} is needed")
    for key in content:
        if key not in known:
            raise InputError(f"{where}.{key}: is not known; {suggest(str(key), known)}")
