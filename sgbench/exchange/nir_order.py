"""A NIR graph read as layers one after another."""

from __future__ import annotations

from typing import Any, NamedTuple

from sgbench.errors import InputError
from sgbench.exchange.nir_export import nir_module

PRODUCTS = ("Linear", "Affine", "Conv2d")
NEURONS = ("LIF", "IF", "LI", "I", "CubaLIF")
RECURRENT = (*PRODUCTS, "Scale")


class GraphLayer(NamedTuple):
    """Describes one layer of a NIR graph."""

    product: Any  # node of the weights
    neurons: str  # name of the neurons' node
    node: Any  # the neurons' node
    recurrent: Any | None  # node of the weights among them


def in_order(graph: Any) -> list[GraphLayer]:
    """List the layers from input to output; a graph inside the graph stands for its nodes.

    Raises:
        InputError: a branch, a node of a kind that there is no layer for, or weights without neurons behind them.
    """
    nodes, edges = _inlined(graph)
    begin = [name for name, node in nodes.items() if _kind(node) == "Input"]
    if len(begin) != 1:
        raise InputError(f"a graph with one input is needed, not {len(begin)}")
    here, product, steps = begin[0], None, []
    while True:
        here = _only(_behind(here, nodes, edges), here)
        kind = _kind(nodes[here])
        if kind == "Output":
            break
        if kind in PRODUCTS and product is None:
            product = nodes[here]
        elif kind in NEURONS and product is not None:
            steps.append(GraphLayer(product, here, nodes[here], _recurrent(here, nodes, edges)))
            product = None
        elif kind != "Flatten":
            where = "where weights are expected" if kind in NEURONS else "which no layer here stands for"
            raise InputError(
                f"node '{here}': a {kind}, {where}; known: {', '.join((*RECURRENT, *NEURONS, 'Flatten'))}"
            )
        if len(steps) > len(nodes):
            raise InputError("the graph runs in a circle")
    if product is not None or not steps:
        raise InputError("the last weights have no neurons behind them; add LI or I nodes for a readout")
    return steps


def _kind(node: Any) -> str:
    return type(node).__name__


def _inlined(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Collect all nodes and edges, those of graphs inside the graph among them."""
    nodes: dict[str, Any] = {}
    edges = [(str(a), str(b)) for a, b in dict.fromkeys(map(tuple, graph.edges))]
    for name, node in graph.nodes.items():
        if not isinstance(node, nir_module().NIRGraph):
            nodes[name] = node
            continue
        inner, between = _inlined(node)
        doors = {"Input": name, "Output": name}
        called = {
            inner_name: doors.get(_kind(one), f"{name}/{inner_name}") for inner_name, one in inner.items()
        }
        into = [called[b] for a, b in between if _kind(inner[a]) == "Input"]
        out = [called[a] for a, b in between if _kind(inner[b]) == "Output"]
        nodes |= {called[inner_name]: one for inner_name, one in inner.items() if _kind(one) not in doors}
        rerouted = [edge for edge in edges if name not in edge]
        rerouted += [(a, b) for a, through in edges if through == name for b in into]
        rerouted += [(a, b) for through, b in edges if through == name for a in out]
        own = [(called[a], called[b]) for a, b in between]
        edges = rerouted + [edge for edge in own if name not in edge]
    return nodes, edges


def _behind(here: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> list[str]:
    """List the nodes that a node sends to, without those of recurrent weights."""
    successors = [b for a, b in edges if a == here]
    missing = [name for name in successors if name not in nodes]
    if missing:
        raise InputError(f"edge to '{missing[0]}': no such node")
    return [name for name in successors if not _loops(name, here, edges)]


def _loops(weights: str, neurons: str, edges: list[tuple[str, str]]) -> bool:
    """Return whether weights lead from neurons back to them and nowhere else."""
    return [b for a, b in edges if a == weights] == [neurons]


def _only(names: list[str], here: str) -> str:
    """Return the only name, or raise where a node goes on to none or several."""
    if len(names) != 1:
        raise InputError(f"node '{here}': goes on to {len(names)} nodes; layers one after another are needed")
    return names[0]


def _recurrent(neurons: str, nodes: dict[str, Any], edges: list[tuple[str, str]]) -> Any | None:
    """Return the node of the weights among neurons, or None where there are none."""
    recurrent = [b for a, b in edges if a == neurons and _loops(b, neurons, edges)]
    if len(recurrent) > 1:
        raise InputError(f"node '{neurons}': has {len(recurrent)} recurrent connections; one is known here")
    if recurrent and _kind(nodes[recurrent[0]]) not in RECURRENT:
        raise InputError(
            f"node '{recurrent[0]}': a {_kind(nodes[recurrent[0]])} among neurons, which no layer here stands for"
        )
    return nodes[recurrent[0]] if recurrent else None
