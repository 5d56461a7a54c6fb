"""What an event of an image reaches, by torch's own convolution of everything, in each way that it is counted."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from fastspiking.signals.spikes import SparseSpikes
from sgbench.energy.convolution import Fan


@pytest.mark.parametrize(
    ("image", "side"), [((2, 5, 4), 3), ((1, 12, 11), 5), ((3, 2, 9), 7), ((2, 17, 19), 3), ((1, 1, 1), 1)]
)
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_reached_places_and_operations(image, side, stride):
    """Expected: a convolution of ones over all channels, above 0 where reached; its sum is the operations."""
    generator = torch.Generator().manual_seed(4)
    weight = torch.zeros(3, image[0], side, side)
    fan = Fan(weight, image, stride=stride, currents=1)
    inputs = image[0] * image[1] * image[2]
    signal = (torch.rand(4, 2, inputs, generator=generator) < 0.03).float() * torch.tensor([1.0, -0.5])[:, None]
    signal[0, 0, 0] = 1

    def convolved(flat):
        return conv2d(flat.view(-1, *image), torch.ones_like(weight), stride=stride, padding=side // 2)

    all_of_it = convolved((signal != 0).float())
    assert all_of_it.count_nonzero() > 0
    assert inputs == 1 or all_of_it.count_nonzero() < all_of_it.numel()
    for form in (signal, signal.double(), signal.transpose(0, 1).contiguous().transpose(0, 1), SparseSpikes.of(signal)):
        operations, reached = fan.spread(form)
        assert operations.tolist() == all_of_it.sum((1, 2, 3)).view(4, 2).tolist()
        expected = (all_of_it[:, 0] > 0).view(4, 2, -1)
        assert torch.equal(reached.positions(), expected)
        assert reached.counts.tolist() == expected.sum(2).tolist()
    assert fan.total == convolved(torch.ones(inputs)).sum()
