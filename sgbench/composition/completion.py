"""Completes the overrides of a run as they are typed, and holds the script by which each shell asks for it."""

import re
from collections.abc import Iterable, Sequence

from sgbench.composition import catalogue
from sgbench.errors import require_choice

SHELLS = ("bash", "fish", "zsh")
KEYS = ("seed", "width_fwhm", "clip_norm", "engine", "force", "group", "paths.runs_dir", "paths.data_dir")
"""Keys of a run beside groups and their parameters."""
BOOLEANS = ("true", "false")
FIXED = {"hydra/launcher": ("basic", "joblib", "replicas"), "hydra.launcher.on": ("local", "slurm", "ray")}
"""Maps Hydra's own keys that sweeps set to the values that they may take."""
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
"""Maps a shell to the script that it evaluates once: `eval "$(sgbench completion bash)"`."""


def script(shell: str) -> str:
    """Return the script by which a shell completes arguments of `sgbench`."""
    return SCRIPTS[require_choice("completion", shell, SHELLS)]


def complete_override(last: str, earlier: Sequence[str]) -> Iterable[str]:
    """List candidates for the Hydra override that is being typed; the shell filters them by what is typed so far.

    `last`: the unfinished override: part of a key, or a key with part of its last value (`surrogate=atan,tri`);
    `earlier`: the overrides before it on the line, which may choose an entry.

    >>> [word for word in complete_override("surrogate=ata", []) if word.startswith("surrogate=ata")]
    ['surrogate=atan']
    >>> list(complete_override("network.recurrence_gradient=", []))
    ['network.recurrence_gradient=full', 'network.recurrence_gradient=cut']
    """
    key, is_value, value = last.partition("=")
    group, dot, _ = key.partition(".")
    if is_value:
        before, comma, _ = value.rpartition(",")
        return (f"{key}={before}{comma}{name}" for name in _values(key, earlier))
    if dot and group in catalogue.groups():
        entry = catalogue.entry(group, _chosen(group, earlier))
        return (f"{group}.{name}=" for name in (*entry.own, *entry.parameters))
    return (
        *(f"{name}=" for name in (*catalogue.groups(), *KEYS, *FIXED)),
        *(f"{name}." for name in catalogue.groups()),
    )


def _values(key: str, earlier: Sequence[str]) -> Iterable[str]:
    group, dot, name = key.partition(".")
    if key in FIXED:
        return FIXED[key]
    if dot and group in catalogue.groups():
        chosen = _chosen(group, earlier)
        return _choices_in_comment(catalogue.paths(group)[chosen].read_text(), name) if chosen else ()
    return catalogue.paths(key.partition("@")[0])


def _choices_in_comment(text: str, name: str) -> list[str]:
    """List the values that a parameter may take, from the comment behind it in the text of an entry's YAML file.

    The list is empty if the comment names no choices, as for a number.

    >>> _choices_in_comment("recurrence: none # none, one_to_one or all_to_all", "recurrence")
    ['none', 'one_to_one', 'all_to_all']
    >>> _choices_in_comment("bias: false", "bias"), _choices_in_comment("beta: 0.9 # decay per step", "beta")
    (['true', 'false'], [])
    """
    line = re.search(rf"^{re.escape(name)}: (\S+)(?:\s+# (.*))?$", text, re.MULTILINE)
    if line is None:
        return []
    if line.group(1) in BOOLEANS:
        return list(BOOLEANS)
    listed = re.match(r"((?:\w+, )*\w+) or (\w+)\b", line.group(2) or "")
    return [*listed.group(1).split(", "), listed.group(2)] if listed else []


def _chosen(group: str, earlier: Sequence[str]) -> str:
    """Return the entry of a group that the overrides choose, else its default; empty if the group has none."""
    named = [text.partition("=")[2] for text in earlier if text.startswith(f"{group}=")]
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
"""Maps each group to its default entry in conf/config.yaml; a test compares the two."""
