"""Settings of a network that change with the epoch: steepness of surrogates, random generators, training mode."""

from dataclasses import dataclass
from typing import Literal

from fastspiking.signals.streams import generator
from sgbench.dropouts.mask import masks
from sgbench.networks.base import Network, surrogates
from sgbench.steepness.base import Steepness

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Epochs:
    """Sets a network's steepness and generators by seed and epoch alone, so that training can be continued."""

    steepness: Steepness  # schedule of the surrogates' stretch factor
    count: int  # epochs of the protocol; the schedule ends at the last of them, even if training stops early
    seed: int

    def begin(self, network: Network, part: Part, epoch: int) -> None:
        """Prepare the network for a pass over one split in an epoch; all its generators start anew."""
        network.train(part == "train")
        progress = min(1.0, epoch / max(1, self.count - 1))
        network.advance(progress)
        for layer, surrogate in enumerate(surrogates(network)):
            surrogate.stretch = self.steepness.factor(progress)
            if surrogate.stochastic:
                surrogate.generator = generator(self.seed, "noise", layer, part, epoch)
        if network.rule_noise is not None:
            network.rule_noise.generator = generator(self.seed, "noise", "rule", part, epoch)
        for layer, mask in enumerate(masks(network)):
            mask.generator = generator(self.seed, "dropout", layer, part, epoch)
