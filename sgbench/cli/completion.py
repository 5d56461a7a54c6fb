"""Lists the commands, options, values, entries and overrides that may complete a typed line, for shells."""

import argparse
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from sgbench.composition import catalogue
from sgbench.errors import InputError, require_choice

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


def _complete_override(last: str, earlier: Sequence[str]) -> Iterable[str]:
    """List candidates for the Hydra override that is being typed; the shell filters them by what is typed so far.

    `last`: the unfinished override: part of a key, or a key with part of its last value (`surrogate=atan,tri`);
    `earlier`: the overrides before it on the line, which may choose an entry.

    >>> [word for word in _complete_override("surrogate=ata", []) if word.startswith("surrogate=ata")]
    ['surrogate=atan']
    >>> list(_complete_override("network.recurrence_gradient=", []))
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
    """List the values of an override's key: entries of a group, or choices of a parameter; empty if unknown."""
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


OWN_CODE = ("--config-dir", "--allow-target", "--allow-env", "--allow-hydra")
RUN_OPTIONS = ("--multirun", *OWN_CODE, "--first", "--cfg", "--help", "--hydra-help")
"""Options of `sgbench run` and `sgbench sweep`, which have no argparse parser."""
WITH_OVERRIDES = ("tune", "recommend", "calibrate", "diagnose", "energy decide", "study extend")
"""Commands whose arguments are the Hydra overrides of a run."""
GROUP_OF = {
    "--protocol": "protocol",
    "--target": "energy",
    "data add name": "",
    "data name": "dataset",
    "data names": "dataset",
    "energy name": "energy",
    "study name": "study",
    "sweep name": "sweep",
}
"""Maps an option, or a command with its argument's name, to the group whose entries are its values."""
REPRODUCED = "reproduce/"


def candidates(line: str, top: Callable[[], argparse.ArgumentParser]) -> list[str]:
    """List the words that may complete the last one of a typed line; `top` makes the parser of all but `run`."""
    *finished, last = line.split(" ")
    before = [word for word in finished if word][1:]  # without the program's name
    try:
        if before[:1] == ["run"]:
            proposals: Iterable[str] = RUN_OPTIONS if last.startswith("-") else _complete_override(last, before[1:])
        else:
            proposals = _candidates(last, before, top())
        return sorted({word for word in proposals if word.startswith(last)})
    except InputError:  # a group or an entry that does not exist has no completions
        return []


def _candidates(last: str, before: Sequence[str], top: argparse.ArgumentParser) -> Iterable[str]:
    """List the words that may stand at the place of the unfinished word `last`, after the words `before`.

    `top` is the parser of all commands but `run`.
    """
    parser, path, rest = _descend(top, before)
    named = [action for action in parser._actions if rest and rest[-1] in action.option_strings]
    if any(action.nargs != 0 for action in named):
        return _values_of(named[0], rest[-1], path)
    command = " ".join(path)
    if last.startswith("-"):
        return (
            RUN_OPTIONS
            if command == "sweep"
            else [word for action in parser._actions for word in action.option_strings if word.startswith("--")]
        )
    if not path:
        return commands_of(parser)
    words = [*commands_of(parser), *_special_candidates(command, last, rest)]
    for action in parser._actions:
        if not action.option_strings and not isinstance(action.choices, dict):
            words += _values_of(action, action.dest, path)
    takes_overrides = command in WITH_OVERRIDES or path[0] in ("diagnose", "sweep")
    return [*words, *_complete_override(last, rest)] if takes_overrides else words


def _descend(
    parser: argparse.ArgumentParser, words: Sequence[str]
) -> tuple[argparse.ArgumentParser, list[str], list[str]]:
    """Return the parser of the innermost command in a line, the command's path, and the words after it."""
    path: list[str] = []
    for index, word in enumerate(words):
        below = {**_parsers(parser), **_separate_parsers(path)}
        if word not in below:
            return parser, path, list(words[index:])
        parser = below[word]
        path.append(word)
    return parser, path, []


def _parsers(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Map a parser's subcommands to their parsers."""
    by_command: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action.choices, dict):
            by_command |= action.choices
    return by_command


def _separate_parsers(path: Sequence[str]) -> Mapping[str, argparse.ArgumentParser]:
    """Map the commands below `path` that are not part of the top parser to their parsers."""
    from sgbench.cli import diagnose, sweep, tune

    if not path:
        return {"tune": tune.parser(), "diagnose": diagnose.ACTIONS[""][0]()}  # quick: nothing heavy is imported
    if list(path) == ["diagnose"]:
        return {name: make() for name, (make, _) in diagnose.ACTIONS.items() if name}
    return {"show": sweep.show_parser()} if list(path) == ["sweep"] else {}


def commands_of(parser: argparse.ArgumentParser) -> list[str]:
    """List the names of a parser's subcommands."""
    return list(_parsers(parser))


def _values_of(action: argparse.Action, name: str, path: Sequence[str]) -> Iterable[str]:
    """List the values of an option or argument `name` of the command `path`; files are left to the shell."""
    if action.choices is not None:
        return map(str, action.choices)
    if (path[0], name) == ("export", "--for"):
        from sgbench.cli.export import LIBRARY_READERS

        return LIBRARY_READERS
    keys = (name, f"{' '.join(path)} {name}", f"{path[0]} {name}")
    group = next((GROUP_OF[key] for key in keys if key in GROUP_OF), "")
    return catalogue.paths(group) if group else ()


def _special_candidates(command: str, last: str, rest: Sequence[str]) -> Iterable[str]:
    """List completions that no argparse parser knows: shells, groups, entries and published experiments.

    `rest` are the words between the command, such as "data add", and the unfinished word `last`.
    """
    if command == "completion":
        return SHELLS
    if command == "list":
        return catalogue.groups()
    if command in ("show", "compare"):
        group, slash, _ = last.partition("/")
        if slash:
            return (f"{group}/{name}" for name in catalogue.paths(group))
        return (f"{name}/" for name in catalogue.groups())
    if command == "sweep" and not rest:
        return ["show", *catalogue.paths("sweep")]
    if command == "diagnose" and not rest:
        return list(_separate_parsers(["diagnose"]))
    if command == "reproduce":
        published = [name for name in catalogue.paths("experiment") if name.startswith(REPRODUCED)]
        return ["all", *(name.removeprefix(REPRODUCED) for name in published)]
    return ()
