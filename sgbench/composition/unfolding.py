"""Refuses YAML files whose aliases (`*name`) unfold to far more values than the file has characters."""

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from pathlib import Path

import yaml

from sgbench.errors import InputError

# The same loader in C where libyaml is there; a sweep reads the catalogue once a point.
SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
BYTE_ORDER_MARK = "\ufeff"
MOST_VALUES = 100_000
"""Largest number of values, keys among them, to which a file with aliases may unfold."""


@lru_cache(maxsize=4096)
def require_bounded(text: str) -> None:
    r"""Raise a YAMLError if aliases in YAML text unfold to more than `MOST_VALUES` values, or to endless ones.

    >>> require_bounded("a: &a [1, 2]\nb: [*a, *a]")
    """
    if "&" not in text or "*" not in text:
        return
    root = yaml.compose(text, Loader=SafeLoader)
    if root is not None and _unfolded(root, {}) > MOST_VALUES:
        raise yaml.YAMLError(f"its aliases (&, *) unfold to more than {MOST_VALUES:,} values; write them out")


def _unfolded(node: yaml.Node, counted: dict[yaml.Node, int]) -> int:
    if node not in counted:
        counted[node] = MOST_VALUES + 1  # what holds itself has no end
        parts = node.value if isinstance(node, yaml.CollectionNode) else ()
        children = chain(*parts) if isinstance(node, yaml.MappingNode) else parts
        counted[node] = 1 + sum(_unfolded(child, counted) for child in children)
    return counted[node]


def require_bounded_files(folders: Iterable[Path]) -> None:
    """Raise an InputError for the first YAML file in the folders that `require_bounded` refuses.

    Hydra reads such files itself, and copies what an alias stands for each time it stands there. A file that begins
    with a byte order mark is refused too.
    """
    for path in chain.from_iterable(folder.rglob("*.yaml") for folder in folders):
        _require_bounded_file(path)


def _require_bounded_file(path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        if text.startswith(BYTE_ORDER_MARK):
            raise InputError(
                f"{path}: begins with a byte order mark, behind which Hydra reads no package; save it without"
            )
        require_bounded(text)
    except (OSError, UnicodeDecodeError):
        return  # whoever asks for its entry is told
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
