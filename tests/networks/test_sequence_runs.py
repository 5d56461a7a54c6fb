"""Runs of parallel, gated and branched neurons, convolutions and delays: whole records, and starts by the seed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sgbench.composition.compose import compose
from sgbench.submissions.plausible import consistency_problems
from sgbench.submissions.weights import parse_weights, require_fit
from sgbench.training.build import build
from sgbench.training.run_folder import folder_of
from sgbench.training.runner import run_spec
from tests.run.tiny import WORDS

pytestmark = pytest.mark.usefixtures("no_snntorch_neurons_left")
TRAINED = ("neuron=psn", "neuron=dh_lif", "network=delayed")  # of those below, in the default run


def is_slow(words: tuple[str, ...]) -> bool:
    return words[0] not in TRAINED or "network.recurrent_delays=true" in words


@pytest.mark.one_in(4)
@pytest.mark.parametrize(
    "words",
    [
        pytest.param(words, id=words[0], marks=[pytest.mark.slow] * is_slow(words))
        for words in (
            ("neuron=psn",),
            ("neuron=masked_psn", "neuron.mask=[0.0, 1.0]"),
            ("neuron=slstm", "network.recurrence=all_to_all", "network.bias=true", "rule.window=4"),
            ("neuron=dh_lif", "network.recurrence=one_to_one"),
            ("network=conv", "network.recurrence=all_to_all", "neuron=sgru"),
            ("network=conv", "network.pooling=average", "network.pooling_of=spikes", "network.stride=1"),
            ("network=delayed", "network.readout_delays=true", "protocol.precision=float64"),
            ("network=delayed", "network.recurrent_delays=true"),
        )
    ],
)
def test_runs_end_in_records_without_contradictions(words, tmp_path):
    """Expected: a finished record, which has been checked against itself, counts included."""
    spec = compose([*WORDS, *words, f"paths.runs_dir={tmp_path}", "init.gain=2.0"])
    record = run_spec(spec)
    assert record.status == "finished", record.failure
    assert record.test.activity[0].rate_per_step > 0
    assert record.counts.layers[0].synapses[0].effective.total > 0
    assert not [line for line in consistency_problems(record) if "counts" in line]
    weights = (folder_of(spec) / "weights.safetensors").read_bytes()
    if not words[0].startswith("neuron=dh_lif"):  # whose masks are no numbers that a submission may hold
        require_fit(parse_weights(weights, "weights"), record, "weights")


@pytest.mark.slow
def test_uniform_start_of_parallel_neurons_follows_the_seed():
    """Must match: equal seeds; must differ: another seed. The leaky start draws nothing, so weights stay."""

    def made(*words: str) -> dict[str, Tensor]:
        return build(compose(["experiment=digits", *words])).network.state_dict()

    key = "layers.0.neuron.weight"
    one, same, other = (made("neuron=psn", "neuron.start=uniform", f"seed={seed}")[key] for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(made("neuron=psn")["layers.0.weight"], made()["layers.0.weight"])
