"""Completes the overrides of a run as they are typed, and holds the script by which each shell asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sgbench.composition import catalogue
from sgbench.errors import require_choice

SHELLS = ("bash", "fish", "zsh")
KEYS = ("seed", "width_fwhm", "clip_norm", "engine", "force", "group", "paths.runs_dir", "paths.data_dir")
"""What a run takes beside groups and their parameters."""
BOOLEANS = ("true", "false")
FIXED = {
    "hydra/launcher": ("basic", "joblib", "replicas"),
    "hydra.launcher.on": ("local", "slurm", "ray"),
}
"""Values of keys of Hydra's own that sweeps are run with."""
SCRIPTS = {
    "bash": """_sgbench() {
  local line="${COMP_LINE:0:$COMP_POINT}" IFS=$'\\n'
  local word="${line##* }"
  COMPREPLY=($(sgbench completion --line "$line" 2>/dev/null))
  case "$word" in *=*) COMPREPLY=("${COMPREPLY[@]#"${word%%=*}="}") ;; esac
}
complete -o nospace -o default -F _sgbench sgbench
""",
    "zsh": """#compdef sgbench
_sgbench() {
  local -a found
  found=(${(f)"$(sgbench completion --line "$LBUFFER" 2>/dev/null)"})
  compadd -Q -S '' -a found
}
compdef _sgbench sgbench
""",
    "fish": """complete -c sgbench -f -a '(sgbench completion --line (commandline -cp) 2>/dev/null)'
""",
}
"""What each shell reads once: `eval "$(sgbench completion bash)"`."""


def script(shell: str) -> str:
    """Return the script by which a shell completes arguments of the command.

    Raises:
        InputError: another shell.
    """
    return SCRIPTS[require_choice("completion", shell, SHELLS)]


def override_words(last: str, given: Sequence[str]) -> Iterable[str]:
    """List overrides that choose an entry or set a number, as completions of the one that is being typed.

    Args:
        last: as far as it is typed: a key, or a key with a part of its value, also behind a comma.
        given: the overrides before it, which may choose an entry.

    >>> [word for word in override_words("surrogate=ata", []) if word.startswith("surrogate=ata")]
    ['surrogate=atan']
    >>> list(override_words("network.recurrence_gradient=", []))
    ['network.recurrence_gradient=full', 'network.recurrence_gradient=cut']
    """
    key, is_value, value = last.partition("=")
    group, dot, _ = key.partition(".")
    if is_value:
        behind = value.rpartition(",")
        start = f"{key}={behind[0]}{behind[1]}"
        return (f"{start}{name}" for name in _values(key, given))
    if dot and group in catalogue.groups():
        entry = catalogue.entry(group, _chosen(group, given))
        return (f"{group}.{name}=" for name in (*entry.own, *entry.parameters))
    return (
        *(f"{name}=" for name in (*catalogue.groups(), *KEYS, *FIXED)),
        *(f"{name}." for name in catalogue.groups()),
    )


def _values(key: str, given: Sequence[str]) -> Iterable[str]:
    """List the values of a key: entries, or what an entry's file says that one of its parameters may be."""
    group, dot, name = key.partition(".")
    if key in FIXED:
        return FIXED[key]
    if dot and group in catalogue.groups():
        chosen = _chosen(group, given)
        return words_of(catalogue.paths(group)[chosen].read_text(), name) if chosen else ()
    return catalogue.paths(key.partition("@")[0])


def words_of(text: str, name: str) -> list[str]:
    """List the names that a parameter may take, from the comment in an entry's file; none for a number.

    >>> words_of("recurrence: none # none, one_to_one or all_to_all", "recurrence")
    ['none', 'one_to_one', 'all_to_all']
    >>> words_of("bias: false", "bias"), words_of("beta: 0.9 # decay per step", "beta")
    (['true', 'false'], [])
    """
    line = re.search(rf"^{re.escape(name)}: (\S+)(?:\s+# (.*))?$", text, re.MULTILINE)
    if line is None:
        return []
    if line.group(1) in BOOLEANS:
        return list(BOOLEANS)
    listed = re.match(r"((?:\w+, )*\w+) or (\w+)\b", line.group(2) or "")
    return [*listed.group(1).split(", "), listed.group(2)] if listed else []


def _chosen(group: str, given: Sequence[str]) -> str:
    """Find the entry of a group that the overrides choose, or that of the reference run."""
    named = [text.partition("=")[2] for text in given if text.startswith(f"{group}=")]
    return named[-1].partition(",")[0] if named else DEFAULTS.get(group, "")


DEFAULTS = {
    "dataset": "digits",
    "encoder": "latency",
    "init": "kaiming",
    "loss": "max_over_time",
    "network": "mlp",
    "neuron": "leaky",
    "optimizer": "adam",
    "protocol": "digits_v1",
    "rule": "bptt",
    "surrogate": "atan",
    "trainer": "default",
}
"""As conf/config.yaml has them, which a test compares."""
