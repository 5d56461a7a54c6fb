"""Overrides of random runs, small enough to be trained several times a second."""

from functools import cache
from random import Random

from sgbench.composition import catalogue
from sgbench.neurons.base import RESET_GRADIENTS, RESETS
from sgbench.neurons.quantity import LEARN
from tests.search_engines.runs import CONF, Run

SMALL = ("protocol.name=search_v1", "protocol.steps=12", "protocol.precision=float64", "trainer.progress=false")
SPIKES = (
    "dataset=randman_small dataset.classes=3 dataset.alpha=2 dataset.samples=[4,3,2] "
    "dataset.tau_s=0.01 dataset.duration_s=0.012 encoder=binned"
)
VALUES = "dataset=yin_yang dataset.samples=[16,12,12] encoder="
IMAGES = f"{SPIKES} dataset.channels=16 network.image=[1,4,4] network.channels=[2,3] network="
DATA = (
    f"{SPIKES} dataset.channels=7 network=mlp",
    f"{SPIKES} dataset.channels=7 network=mlp",
    f"{SPIKES} dataset.channels=7 network=delayed network.max_delay_steps=3",
    f"{VALUES}direct network=mlp",
    f"{VALUES}direct network=encoded",
    f"{VALUES}latency network=mlp",
    f"{VALUES}poisson encoder.max_rate_hz=400 network=mlp",
    f"{IMAGES}conv",
    f"{IMAGES}spiking_resnet",
)
"""Samples, their code, and a network for them."""
CONVOLUTIONS = {
    "network.kernel_size": (1, 3, 3, 5),
    "network.stride": (1, 1, 1, 2),
    "network.pooling": ("none", "max", "max", "average"),
    "network.pooling_of": ("currents", "currents", "spikes"),
}
"""Choices of every convolutional network."""
RECURRENT = ("mlp", "encoded", "conv")
READOUTS = {
    "leaky_readout": ("sum_over_time", "last_step", "per_step", "max_over_time", "max_since_input"),
    "synaptic_readout": ("sum_over_time", "last_step"),
    "leaky": ("spike_count",),
}
"""Readouts and losses on them."""
ALWAYS = {
    "network.bias": ("true", "false"),
    "init.gain": (1, 3, 8, 30),
    "clip_norm": ("null", "null", 0.5),
    "optimizer.lr": (0.003, 0.02, 0.1),
    "protocol.epochs": (2, 2, 3),
    "protocol.batch_size": (1, 5, 5, 16),
    "schedule": ("constant", "constant", "constant", "cosine", "one_cycle", "plateau"),
    "protocol.monitor": ("validation_loss", "validation_loss", "validation_accuracy"),
    "seed": range(3),
}
"""Choices of every run."""
OPTIMIZERS = ("sgd", *(f"{name} optimizer.eps=0.001" for name in ("adam", "adam", "adamax", "adamw")))
"""A usual eps would make a move of a gradient that is nothing but rounding, as of a bias before a normalisation."""
SELDOM = {
    "surrogate": 0.3,
    "rule": 0.3,
    "steepness": 0.2,
    "dropout": 0.1,
    "normalisation": 0.15,
    "regulariser": 0.15,
    "firing": 0.1,
}
"""Groups of which a share of the runs takes any entry."""
WIDTHS = (1, 2, 5, 9, 17)
OWN, MASKED, OPTION, COMPILED = 0.06, 0.1, 0.5, 0.04
"""Shares: of neurons of somebody's own, of those whose weights pass a mask, of options set, of compiled loops."""


def random_run(random: Random) -> Run:
    """Draw a run; some do not fit together and are refused."""
    words = [*SMALL, *random.choice(DATA).split()]
    if any(f"network={name}" in words for name in RECURRENT):
        words += [f"network.recurrence={random.choice(('none', 'one_to_one', 'one_to_one', 'all_to_all'))}"]
        words += [f"network.recurrence_gradient={random.choice(('full', 'full', 'cut'))}"]
    if "network=conv" in words:
        words += [f"{name}={random.choice(values)}" for name, values in CONVOLUTIONS.items()]
    hidden = ",".join(str(random.choice(WIDTHS)) for _ in range(random.choice((1, 1, 2, 3))))
    words += [f"protocol.hidden=[{hidden}]", *_neuron(random)]
    readout = random.choice(("leaky_readout", *READOUTS))
    words += [f"neuron@readout={readout}", f"loss={random.choice(READOUTS[readout])}"]
    words += [f"{name}={random.choice(values)}" for name, values in ALWAYS.items()]
    words += f"optimizer={random.choice(OPTIMIZERS)}".split()
    for group, share in SELDOM.items():
        words += [f"{group}={random.choice(_names(group))}"] if random.random() < share else []
    return Run(tuple(words), random.choice((1, 1, 2, 3)), compiled=random.random() < COMPILED)


def _neuron(random: Random) -> list[str]:
    kind = random.random()
    family = random.choice(list(_families()))
    name = "ramped" if kind < OWN else "dh_lif" if kind < OWN + MASKED else random.choice(_families()[family])
    given = catalogue.entry("neuron", name, [CONF]).parameters
    words = [f"neuron={name}"]
    kinds = random.choice((None, ("none",), LEARN[1:], LEARN))  # as it ships, nothing, everything, some
    for key in given:
        if key.startswith("learn_") and kinds is not None and name != "ramped":  # whose tensor moves alone
            words.append(f"neuron.{key}={random.choice(kinds)}")
    for key, values in (("reset", RESETS), ("reset_gradient", RESET_GRADIENTS)):
        if key in given and random.random() < OPTION:
            words.append(f"neuron.{key}={random.choice(values)}")
    return words


@cache
def _names(group: str) -> list[str]:
    """List the entries of a group, without presets."""
    return [name for name in catalogue.paths(group) if "/" not in name]


@cache
def _families() -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for name, entry in catalogue.entries("neuron").items():
        if entry.meta["family"] != "readout":
            families.setdefault(str(entry.meta["family"]), []).append(name)
    return families
