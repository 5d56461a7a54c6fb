"""Names for type checkers: `python -m tools.known_names` writes `sgbench/composition/known_names.pyi`."""

from pathlib import Path

from sgbench.composition import catalogue

FILE = Path(catalogue.__file__).with_name("known_names.pyi")
TYPES = {"surrogate": "SurrogateName", "neuron": "NeuronName"}
HEAD = '''"""Types for editors: names of surrogates and neurons, written by `make entry`; other names work too."""

from typing import Literal
'''


def text() -> str:
    blocks = [HEAD]
    for group, kind in TYPES.items():
        names = "".join(f'    "{group}/{name}",\n' for name in sorted(catalogue.entries(group)))
        blocks.append(f"{kind} = Literal[\n{names}]\n")
    return "\n".join(blocks)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
