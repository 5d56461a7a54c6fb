"""What an event of an image reaches, by torch's own convolution of everything, in each way that it is counted."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv2d

from sgbench.energy.convolution import SMALL, Fan
from sgbench.spikes import Events


@pytest.mark.parametrize("image", [(2, 5, 4), (1, 12, 11)])
@pytest.mark.parametrize("stride", [1, 2])
def test_reached_places_and_operations(image, stride):
    """Expected: a convolution of ones over all channels, above 0 where reached; its sum is the operations.

    One image is small enough for a product with all places, the other goes through a grouped convolution.
    """
    generator = torch.Generator().manual_seed(4)
    weight = torch.zeros(3, image[0], 3, 3)
    fan = Fan(weight, image, stride=stride, currents=1)
    assert (fan.landing is not None) == (image[1] * image[2] <= SMALL)
    inputs = image[0] * image[1] * image[2]
    signal = (torch.rand(4, 2, inputs, generator=generator) < 0.03).float()
    all_of_it = conv2d(signal.view(-1, *image), torch.ones_like(weight), stride=stride, padding=1)
    operations = all_of_it.sum((1, 2, 3)).view(4, 2)
    reached = (all_of_it[:, 0] > 0).view(4, 2, -1)
    assert 0 < reached.sum() < reached.numel()
    for form in (signal, Events.of(signal)):
        assert fan.operations(form).tolist() == operations.tolist()
        assert torch.equal(fan.reached(form), reached)
    assert fan.operations(signal, ones=True).tolist() == operations.tolist()
    assert torch.equal(fan.reached(-signal), reached)  # a spike of either sign reaches as far
