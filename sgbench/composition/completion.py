"""What a shell may offer behind the words typed so far: commands, groups, entries and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sgbench.composition import catalogue
from sgbench.errors import InputError, require_choice

SHELLS = ("bash", "fish", "zsh")
KEYS = ("seed", "width_fwhm", "clip_norm", "engine", "force", "group", "paths.runs_dir", "paths.data_dir")
"""What a run takes beside groups and their parameters."""
BROWSED = ("show", "compare")
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
    """Return the script by which a shell completes words of the command.

    Raises:
        InputError: another shell.
    """
    return SCRIPTS[require_choice("completion", shell, SHELLS)]


def candidates(line: str, commands: Callable[[], Iterable[str]]) -> list[str]:
    """List the words that may stand in place of the last one of a line.

    Args:
        line: as typed, up to the cursor.
        commands: names of all commands, asked for where one is being typed.

    >>> candidates("sgbench run surrogate=ata", lambda: ["run", "list"])
    ['surrogate=atan']
    >>> candidates("sgbench ru", lambda: ["run", "list"])
    ['run']
    """
    words = line.split(" ")
    last, before = words[-1], [word for word in words[:-1] if word]
    try:
        return sorted(word for word in _all(last, before, commands) if word.startswith(last))
    except InputError:  # a group or an entry that does not exist has nothing to offer
        return []


def _all(last: str, before: Sequence[str], commands: Callable[[], Iterable[str]]) -> Iterable[str]:
    if len(before) <= 1:
        return commands()
    command, given = before[1], before[2:]
    if command == "list":
        return catalogue.groups()
    if command in BROWSED:
        group, slash, _ = last.partition("/")
        return (
            (f"{group}/{name}" for name in catalogue.paths(group))
            if slash
            else (f"{name}/" for name in catalogue.groups())
        )
    if command == "sweep" and not [word for word in given if word != "show"]:
        return catalogue.paths("sweep")
    if command == "data" and given:
        return catalogue.paths("dataset")
    return _words(last, given) if command in ("run", "sweep") else ()


def _words(last: str, given: Sequence[str]) -> Iterable[str]:
    """Complete overrides: a group with its entries, also behind a comma, or a chosen entry's parameters."""
    key, is_value, value = last.partition("=")
    group, dot, _ = key.partition(".")
    if is_value:
        behind = value.rpartition(",")
        start = f"{key}={behind[0]}{behind[1]}"
        return (f"{start}{name}" for name in catalogue.paths(key.partition("@")[0]))
    if dot and group in catalogue.groups():
        entry = catalogue.entry(group, _chosen(group, given))
        return (f"{group}.{name}=" for name in (*entry.own, *entry.parameters))
    return (
        *(f"{name}=" for name in (*catalogue.groups(), *KEYS)),
        *(f"{name}." for name in catalogue.groups()),
    )


def _chosen(group: str, given: Sequence[str]) -> str:
    """Find the entry of a group that the words choose, or that of the reference run."""
    named = [word.partition("=")[2] for word in given if word.startswith(f"{group}=")]
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
