"""Writes neurons as code of other libraries, each with a class that runs one layer over all steps."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fastspiking.choose import Engine
from sgbench.errors import InputError
from sgbench.exchange.library_code import CodeTensors, Library
from sgbench.exchange.whole_numbers import LayerNumbers
from sgbench.networks.base import Chain
from sgbench.neurons.leaky import Leaky
from sgbench.neurons.leaky_readout import LeakyReadout
from sgbench.neurons.quantity import Quantity
from sgbench.neurons.synaptic import Synaptic
from sgbench.neurons.synaptic_readout import SynapticReadout
from sgbench.surrogates.base import Surrogate

TOO_MUCH = "snnTorch takes the threshold from the decayed potential; among gives back what that is too much"
TOO_LITTLE = "SpikingJelly takes the threshold before the decay; among takes what that is too little"
NO_RESET = "its spikes reset nothing; use neuron.reset=zero, subtract or subtract_decayed"
LAYER = '''
class Layer(nn.Module):
    """Weights, neurons, and weights among the neurons, by which a spike comes back one step later."""

    def __init__(self, weights, neurons, among=None, fires=True):
        super().__init__()
        self.weights, self.neurons, self.among, self.fires = weights, neurons, among, fires

    def forward(self, x):
        currents, sent = self.weights(x), []
        {begin}
        for current in currents:
            if self.among is not None and sent:
                current = current + self.among(sent[-1])
            {step}
            sent.append(out.to(x.dtype))
        return torch.stack(sent)
'''


def _layer(begin: str, *step: str) -> str:
    """Fill the template `LAYER` with the lines that run once before all steps, and those of each step."""
    return LAYER.format(begin=begin, step="\n            ".join(step))


def _snntorch(numbers: LayerNumbers, store: CodeTensors) -> tuple[LayerNumbers, str]:
    """Write snnTorch's neurons; return the numbers with which these compute the same, and the code.

    A readout that does not fire is its membrane potential.
    """
    name = numbers.name
    if numbers.reset == "subtract_decayed":
        if numbers.synapse is not None:
            raise numbers.refused("snnTorch", "its reset is subtract_decayed behind a synapse; use subtract")
        numbers = numbers.fed_back((1 - numbers.decay) * _threshold(numbers), TOO_MUCH, "snnTorch")
    reset = "subtract" if numbers.reset == "subtract_decayed" else numbers.reset
    options = [f"beta={store.tensor(f'{name}.beta', numbers.decay)}"]
    if numbers.threshold is not None:
        options.append(f"threshold={store.tensor(f'{name}.threshold', numbers.threshold)}")
    options.append(f'reset_mechanism="{reset}"')
    if numbers.synapse is None:
        return numbers, f"snn.Leaky({', '.join(options)})"
    if reset == "zero":
        options.append("reset_delay=False")  # which keeps the current of the step after a spike
    return (numbers, f"snn.Synaptic(alpha={store.tensor(f'{name}.alpha', numbers.synapse)}, {', '.join(options)})")


def _spikingjelly(numbers: LayerNumbers, store: CodeTensors) -> tuple[LayerNumbers, str]:
    """Write SpikingJelly's neurons, which share each parameter within a layer.

    Return the numbers with which these compute the same, and the code.
    """
    reader, decay = "SpikingJelly", _shared_value(numbers, "decays", numbers.decay)
    if numbers.threshold is None:
        if numbers.synapse is not None or numbers.recurrent is not None:
            raise numbers.refused(reader, "it does not fire, and has a synaptic current or recurrence")
        if decay == 1:
            return numbers, "neuron.NonSpikingIFNode()"
        scaled = numbers.scaled(1 / (1 - numbers.decay), reader)
        return scaled, f"neuron.NonSpikingLIFNode(tau={1 / (1 - decay)!r})"
    threshold = _shared_value(numbers, "thresholds", _thresholds_above(numbers, store.dtype))
    if numbers.reset == "none":
        raise numbers.refused(reader, NO_RESET)
    if numbers.reset == "subtract" and decay != 1:
        if numbers.synapse is not None:
            raise numbers.refused(reader, "its reset is subtract behind a synapse; use subtract_decayed")
        numbers = numbers.fed_back(-(1 - numbers.decay) * _threshold(numbers), TOO_LITTLE, reader)
    options = f"v_threshold={threshold!r}, v_reset={0.0 if numbers.reset == 'zero' else None}"
    if numbers.synapse is not None:
        synapse = _shared_value(numbers, "decays", numbers.synapse)
        return numbers, f"neuron.CUBALIFNode(c_decay={synapse!r}, v_decay={decay!r}, {options})"
    if decay == 1:
        return numbers, f"neuron.IFNode({options})"
    if decay == 0:
        raise numbers.refused(reader, "it forgets its potential in each step (a decay of 0)")
    return numbers, f"neuron.LIFNode(tau={1 / (1 - decay)!r}, decay_input=False, {options})"


def _norse(numbers: LayerNumbers, store: CodeTensors) -> tuple[LayerNumbers, str]:
    """Write Norse's `LIFBox`, whose input has the gain 1 - beta, behind a module for the synaptic current.

    Return the numbers, with the gain divided out of the weights, and the code.
    """
    reader, name = "Norse", numbers.name
    has_no_leak = bool((numbers.decay == 1).all())
    if has_no_leak and numbers.reset == "zero" and numbers.synapse is None:
        threshold = store.tensor(f"{name}.threshold", _threshold(numbers))
        return numbers, f"norse.IAFCell(norse.IAFParameters(v_th={threshold}))"
    decays = [numbers.decay, *([] if numbers.synapse is None else [numbers.synapse])]
    if any(bool((decay == 1).any()) for decay in decays):
        raise numbers.refused(reader, "some of its decays are 1, and its reset is not to 0 or it does not fire")
    inverse_taus = [1 - decay for decay in decays]  # in steps, and the gains of Norse's inputs
    numbers = numbers.scaled(1 / torch.stack(inverse_taus).prod(0), reader)
    leak = store.tensor(f"{name}.leak", torch.zeros(1, dtype=torch.float64))
    options = [
        f"tau_mem_inv={store.tensor(f'{name}.{key}', inverse_tau)}, v_leak={leak}"
        for key, inverse_tau in zip(("membrane", "synapse"), inverse_taus, strict=False)
    ]
    membrane = f"norse.LIBoxCell(norse.LIBoxParameters({options[0]}), dt=1)"
    if numbers.threshold is not None:
        threshold = f"v_th={store.tensor(f'{name}.threshold', numbers.threshold)}"
        fires = ", ".join([options[0], threshold, *_norse_reset(numbers, store)])
        membrane = f"norse.LIFBoxCell(norse.LIFBoxParameters({fires}), dt=1)"
    if numbers.synapse is None:
        return numbers, membrane
    synapse = f"norse.LIBoxCell(norse.LIBoxParameters({options[1]}), dt=1)"
    return numbers, f"norse.SequentialState({synapse}, {membrane})"


def _norse_reset(numbers: LayerNumbers, store: CodeTensors) -> list[str]:
    """Return the arguments of a Norse neuron for the layer's reset; what is subtracted goes into `store`."""
    if numbers.reset == "zero":
        return []
    if numbers.reset == "none":
        return ["reset_method=lambda z, v, reset, th: v"]
    amount = store.tensor(f"{numbers.name}.reset", _reset_amount(numbers, "Norse"))
    return [f"v_reset={amount}", "reset_method=lambda z, v, reset, th: v - z * reset"]


def _sinabs(numbers: LayerNumbers, store: CodeTensors) -> tuple[LayerNumbers, str]:
    """Write sinabs' neurons, with decays as parameters and a synapse that decays its input in the same step.

    Return the numbers, with that decay divided out of the weights, and the code.
    """
    name, reader = numbers.name, "sinabs"
    options = [f"tau_mem={_steps(store, numbers, 'mem', numbers.decay)}"]
    if numbers.threshold is None:
        if numbers.synapse is not None:
            raise numbers.refused(reader, "it sums a synaptic current and does not fire")
        return numbers, f"sl.ExpLeak({options[0]}, train_alphas=True)"
    if numbers.synapse is not None:
        if bool((numbers.synapse == 0).any()):
            raise numbers.refused(reader, "its synaptic current is gone after a step (a decay of 0)")
        options.append(f"tau_syn={_steps(store, numbers, 'syn', numbers.synapse)}")
        numbers = numbers.scaled(1 / numbers.synapse, reader)
    options.append(f"spike_threshold={store.tensor(f'{name}.threshold', _thresholds_above(numbers, store.dtype))}")
    if numbers.reset == "none":
        raise numbers.refused(reader, NO_RESET)
    reset = "sa.MembraneReset()"
    if numbers.reset != "zero":
        reset = f"sa.MembraneSubtract({store.tensor(f'{name}.reset', _reset_amount(numbers, reader))})"
    options += [f"reset_fn={reset}", "spike_fn=sa.SingleSpike", "norm_input=False", "train_alphas=True"]
    return numbers, f"sl.LIF({', '.join(options)})"


def _steps(store: CodeTensors, numbers: LayerNumbers, part: str, decay: Tensor) -> str:
    """Write time constants in steps [N] of a part, "mem" or "syn", and store the decays that sinabs computes."""
    alpha = decay[0] if bool((decay == decay[0]).all()) else decay
    store.tensors[f"{numbers.name}.neurons.alpha_{part}"] = alpha.to(store.dtype)
    return store.tensor(f"{numbers.name}.tau_{part}", (-1 / decay.log()).abs())


def _reset_amount(numbers: LayerNumbers, reader: str) -> Tensor:
    """Return what is subtracted at a spike where the library subtracts before the decay, and we after it."""
    threshold = _threshold(numbers)
    if numbers.reset == "subtract_decayed":
        return threshold
    if bool((numbers.decay == 0).any()):
        raise numbers.refused(reader, "it subtracts from a potential that is gone after a step (a decay of 0)")
    return threshold / numbers.decay


def _threshold(numbers: LayerNumbers) -> Tensor:
    if numbers.threshold is None:
        raise AssertionError("called only for neurons that fire")
    return numbers.threshold


def _thresholds_above(numbers: LayerNumbers, dtype: torch.dtype) -> Tensor:
    """Return the next larger floats of the thresholds: a library that fires at these fires strictly above ours."""
    threshold = _threshold(numbers).to(dtype)
    return threshold.nextafter(torch.full_like(threshold, torch.inf)).double()


def _shared_value(numbers: LayerNumbers, noun: str, values: Tensor) -> float:
    """Return the one value that all neurons share; refused if they differ, which SpikingJelly cannot hold."""
    if bool((values != values[0]).any()):
        raise numbers.refused("SpikingJelly", f"its {noun} differ from neuron to neuron")
    return float(values[0])


LIBRARIES = {
    "snntorch": Library(
        "snnTorch",
        "import snntorch as snn\nimport torch\nfrom torch import nn\n",
        _layer(
            "self.neurons.reset_mem()",
            "spikes, *_, potential = self.neurons(current)",
            "out = spikes if self.fires else potential",
        ),
        _snntorch,
    ),
    "spikingjelly": Library(
        "SpikingJelly",
        "import torch\nfrom spikingjelly.activation_based import functional, neuron\nfrom torch import nn\n",
        _layer(
            "if not self.fires:\n            return torch.stack(self.neurons(currents))\n"
            "        functional.reset_net(self.neurons)",
            "out = self.neurons(current)",
        ),
        _spikingjelly,
    ),
    "norse": Library(
        "Norse",
        "import norse.torch as norse\nimport torch\nfrom torch import nn\n",
        _layer("state = None", "out, state = self.neurons(current, state)"),
        _norse,
    ),
    "sinabs": Library(
        "sinabs",
        "import sinabs.activation as sa\nimport sinabs.layers as sl\nimport torch\nfrom torch import nn\n",
        _layer("self.neurons.init_state_with_shape(currents.shape[1:])", "out = self.neurons(current[:, None])[:, 0]"),
        _sinabs,
    ),
}
"""Maps the names of libraries on the command line to how networks are written for them."""


MakeSurrogate = Callable[[], Surrogate]


def make_leaky(surrogate: Surrogate, neurons: int, *, beta: Tensor, threshold: Tensor, reset: str) -> Leaky:
    """Make leaky neurons with fixed decay per step beta and threshold: tensors of one value, or one each [N]."""
    neuron = Leaky(
        surrogate,
        neurons,
        beta=_checked_range("beta", beta, neurons),
        input_gain="one",
        threshold=_checked_range("threshold", threshold, neurons),
        reset=reset,
        reset_gradient="detached",
        learn_beta="none",
        learn_threshold="none",
    )
    _set_values((neuron.beta, beta), (neuron.threshold, threshold))
    return neuron


def make_synaptic(
    surrogate: Surrogate, neurons: int, *, alpha: Tensor, beta: Tensor, threshold: Tensor, reset: str
) -> Synaptic:
    """Make neurons with a synaptic current of fixed decay alpha, and otherwise as `leaky` makes them."""
    neuron = Synaptic(
        surrogate,
        neurons,
        alpha=_checked_range("alpha", alpha, neurons),
        beta=_checked_range("beta", beta, neurons),
        threshold=_checked_range("threshold", threshold, neurons),
        reset=reset,
        reset_gradient="detached",
        learn_alpha="none",
        learn_beta="none",
        learn_threshold="none",
    )
    _set_values((neuron.alpha, alpha), (neuron.beta, beta), (neuron.threshold, threshold))
    return neuron


def make_readout(neurons: int, *, beta: Tensor) -> LeakyReadout:
    """Make leaky integrators that do not fire, with a fixed decay per step beta: one value, or one each [N]."""
    neuron = LeakyReadout(neurons, beta=_checked_range("beta", beta, neurons), input_gain="one", learn_beta="none")
    _set_values((neuron.beta, beta))
    return neuron


def make_synaptic_readout(neurons: int, *, alpha: Tensor, beta: Tensor) -> SynapticReadout:
    """Make integrators of a synaptic current of fixed decay alpha, and otherwise as `readout` makes them."""
    neuron = SynapticReadout(
        neurons,
        alpha=_checked_range("alpha", alpha, neurons),
        beta=_checked_range("beta", beta, neurons),
        input_gain="one",
        learn_alpha="none",
        learn_beta="none",
    )
    _set_values((neuron.alpha, alpha), (neuron.beta, beta))
    return neuron


def _checked_range(name: str, value: Tensor, neurons: int) -> float | list[float]:
    """Return a parameter as one number if all neurons share it, else as its least and largest."""
    flat = value.detach().double().flatten()
    if len(flat) not in (1, neurons) or not bool(flat.isfinite().all()):
        raise InputError(f"{name}: a finite number, or one for each of {neurons} neurons, is needed")
    low, high = float(flat.min()), float(flat.max())
    return low if low == high else [low, high]


def _set_values(*pairs: tuple[Quantity, Tensor]) -> None:
    """Give each quantity that differs between neurons its values [N], in place of an even spread over a range."""
    for quantity, value in pairs:
        if quantity.spread is not None:
            quantity.spread = value.detach().double().flatten().clone()


def make_chain(layers: Sequence[nn.Module], dtype: torch.dtype) -> Chain:
    """Build a network of these layers, with numbers of this dtype, on the fastest engine that runs them."""
    network = Chain()
    network.layers = nn.ModuleList(layers)
    network.engine = Engine("auto")
    return network.to(dtype)
