"""What changes in a network from epoch to epoch besides its weights: steepness, noise of spikes, dropout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sgbench.dropouts.mask import masks
from sgbench.networks.base import Network, surrogates
from sgbench.signals.streams import generator
from sgbench.steepness.base import Steepness

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Epochs:
    """Draws the batches of a training from seed and epoch alone, so that it can be taken up anywhere."""

    steepness: Steepness  # path of the surrogates' stretch
    # Epochs that the protocol allows; the path ends at the last of them, whether or not it is reached.
    count: int
    seed: int

    def begin(self, network: Network, part: Part, epoch: int) -> None:
        """Set the network for a pass over one split; noise does not depend on what was drawn before."""
        network.train(part == "train")  # some spikes are noisy in training alone
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
