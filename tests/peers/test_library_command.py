"""The files of the documentation's own command, read by the libraries that they are for; `make test-peers` runs it.

Expected, on the whole test split: the spikes of our network and the classes of our record. The words of the run are
those of the documentation, with fewer epochs.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import sgbench
from fastspiking.signals.trajectory import SPIKES
from sgbench.cli.main import main
from sgbench.exchange.libraries import LIBRARIES
from sgbench.exchange.nir_import import from_nir
from sgbench.training.stored_run import load_selected, read_record, rebuild_run
from tests.documents import ROOT, blocks

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of the libraries, while they are imported
    pytest.mark.peers,  # also with snnTorch, for it trains
]
PAGE = ROOT / "docs" / "interchange.md"


class Ours(NamedTuple):
    """A run of ours and what its network does on the test split."""

    folder: Path
    x: Tensor  # [T, B, N]
    spikes: Tensor  # of the hidden layer [T, B, N]
    classes: Tensor  # [B]
    target: Tensor  # [B]


def words(command: str, page: Path = PAGE) -> list[list[str]]:
    """The words of each `sgbench COMMAND` of the page's shell blocks."""
    lines = "\n".join(blocks(page, "sh")).splitlines()
    return [line.split()[1:] for line in lines if line.startswith(f"sgbench {command} ")]


def trained(folder: Path, run_words: list[str]) -> Ours:
    """A run with the page's words, cut to two epochs, and what its selected weights do."""
    short = ["protocol.epochs=2", "trainer.progress=false", f"paths.runs_dir={folder}"]
    assert main([*run_words, *short]) == 0
    [record] = folder.glob("*/*/*/record.json")
    run = rebuild_run(record.parent, read_record(record.parent))
    network = load_selected(run).eval()
    run.parts.data.setup()
    parts: list[tuple[Tensor, ...]] = []
    with torch.no_grad(), run.parts.data.last_step():
        for batch in run.parts.data.evaluation("test"):
            found = network.unroll(batch.x, batch.lengths, keep=frozenset({SPIKES}))
            classes = run.parts.objective.loss.logits(found).argmax(1)
            x = batch.x if isinstance(batch.x, Tensor) else batch.x.dense()
            parts.append((x, found.spikes[0], classes, batch.target))
    x, spikes, classes, target = zip(*parts, strict=True)
    return Ours(record.parent, torch.cat(x, 1), torch.cat(spikes, 1), torch.cat(classes), torch.cat(target))


@pytest.fixture(scope="module")
def default_run(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    """The first run of the page: the default network, whose reset subtracts."""
    return trained(tmp_path_factory.mktemp("default"), words("run")[0])


@pytest.fixture(scope="module")
def reset_run(tmp_path_factory: pytest.TempPathFactory) -> Ours:
    """The run of the page that NIR can say."""
    [zero] = [line for line in words("run") if "neuron.reset=zero" in line]
    return trained(tmp_path_factory.mktemp("zero"), zero)


def test_the_page_names_each_library():
    """Expected: an export for each that is known, and one as NIR, each of a run of the page."""
    shown = words("export")
    named = [line[line.index("--for") + 1] for line in shown if "--for" in line]
    known = re.findall(r"`--for (\w+)`", PAGE.read_text())
    assert set(named) | set(known) == set(LIBRARIES)
    assert any("--nir" in line for line in shown)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("run", ["default_run", "reset_run"])
def test_a_library_sends_our_spikes_and_says_our_classes(library, run, request, tmp_path, capsys):
    """Must match: all classes of the test split, and all spikes but where rounding decides (below 1 in 10,000)."""
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; make test-peers installs it")
    ours = request.getfixturevalue(run)
    path = tmp_path / "digits.py"
    assert main(["export", str(ours.folder), "--for", library, "--to", str(path)]) == 0
    assert LIBRARIES[library].name in capsys.readouterr().out
    spec = importlib.util.spec_from_file_location("digits", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.network()
    with torch.no_grad():
        spikes, output = net.hidden0(ours.x), net(ours.x)
    assert 0.002 < ours.spikes.mean() < 0.5
    assert (spikes != ours.spikes).double().mean() < 1e-4
    assert torch.equal(output.amax(0).argmax(1), ours.classes)
    assert (ours.classes == ours.target).double().mean() > 0.2


def test_norse_reads_other_classes_out_of_the_nir_file(reset_run, tmp_path, capsys):
    """Must differ: Norse passes over the readout's node, which the command says where it writes the file."""
    nir, norse = pytest.importorskip("nir"), pytest.importorskip("norse.torch")
    path = tmp_path / "digits.nir"
    assert main(["export", str(reset_run.folder), "--nir", str(path), "--unit-resistance"]) == 0
    assert "Norse passes over them without a word" in capsys.readouterr().out
    net, state, sent = norse.from_nir(nir.read(path), dt=1e-3), None, []
    with torch.no_grad():
        for now in reset_run.x:
            out, state = net(now, state)
            sent.append(out)
    same = (torch.stack(sent).amax(0).argmax(1) == reset_run.classes).double().mean()
    assert 0.1 < same < 0.99


def test_a_snntorch_network_becomes_nir_as_the_page_says(tmp_path, monkeypatch):
    """Must match: spikes of snnTorch's own network over 200 steps, from the file that the page's block writes."""
    nir = pytest.importorskip("nir")
    [block] = [block for block in blocks(PAGE, "py") if "from_snntorch" in block]
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(8)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - the page's own code
    back = from_nir(nir.read("mine.nir"), make_surrogate=lambda: sgbench.create("surrogate/atan"))
    x = 8 * torch.rand(200, 3, 6, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        found = back.unroll(x, torch.full((3,), 200)).output
        first, one, second, two = names["theirs"]
        expected = []
        for now in x:
            sent, _ = one(first(now))
            expected.append(two(second(sent))[0])
    assert 0.01 < torch.stack(expected).mean() < 0.95
    assert torch.equal(found, torch.stack(expected))
