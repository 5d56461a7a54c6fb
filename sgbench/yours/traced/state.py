"""Remembers all that a call of a network may change, so that a call can be undone."""

import copy
from typing import Any

import snntorch
import torch
from torch import nn

OWN = ("_parameters", "_buffers", "_modules")


class NetworkState:
    """Holds a network's buffers and attributes, the states of all neurons, and the random generators."""

    def __init__(self, network: nn.Module) -> None:
        others = [module for module in snntorch.SpikingNeuron.instances if isinstance(module, nn.Module)]
        known = {id(module) for module in network.modules()}
        self.modules = [*network.modules(), *(module for module in others if id(module) not in known)]
        self.plain = [{key: value for key, value in vars(module).items() if key not in OWN} for module in self.modules]
        self.buffers = [dict(module._buffers) for module in self.modules]
        containers = [value for plain in self.plain for value in plain.values() if type(value) in (list, dict, set)]
        self.contents = [(value, copy.copy(value)) for value in containers]
        kept = {id(tensor): tensor for tensor in (*network.buffers(), *network.parameters())}
        self.values = [
            (tensor, tensor.detach().clone())
            for tensor in kept.values()
            if (tensor.is_leaf or not tensor.requires_grad) and not tensor.is_inference()
        ]
        self.draws = torch.default_generator.get_state()
        self.devices = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []

    def put_back(self) -> None:
        for module, plain, buffers in zip(self.modules, self.plain, self.buffers, strict=True):
            own: dict[str, Any] = vars(module)
            for key in [key for key in own if key not in OWN and key not in plain]:
                del own[key]
            own.update(plain)
            module._buffers.clear()
            module._buffers.update(buffers)
        for value, content in self.contents:
            value.clear()
            value.extend(content) if isinstance(value, list) else value.update(content)
        with torch.no_grad():
            for tensor, value in self.values:  # running means change without a new version
                if not torch.equal(tensor, value):
                    tensor.data.copy_(value)
        torch.default_generator.set_state(self.draws)
        if self.devices:
            torch.cuda.set_rng_state_all(self.devices)
