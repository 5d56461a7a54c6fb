"""Names for type checkers: `python -m tools.known_names` writes `sgbench/composition/known_names.py`."""

from pathlib import Path

from sgbench.composition import catalogue, known_names

FILE = Path(known_names.__file__)
TYPES = {"surrogate": "SurrogateName", "neuron": "NeuronName"}
HEAD = '''"""Types for editors: names of surrogates and neurons, written by `make entry`; other names work too."""

from typing import Literal
'''


def text() -> str:
    """Write the content of `known_names.py`: the catalogue's names as types."""
    blocks = [HEAD]
    for group, kind in TYPES.items():
        names = "".join(f'    "{group}/{name}",\n' for name in sorted(catalogue.entries(group)))
        blocks.append(f"{kind} = Literal[\n{names}]\n")
    return "\n".join(blocks)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
