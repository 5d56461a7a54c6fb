"""The advice for each kind of network, with what its settings lost: the file that README, docs and site share."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field

from sgbench.errors import InputError
from sgbench.recommendation.summary import shipped_path
from sgbench.records.base import Number, Strict, Text
from sgbench.records.calibration import Reset
from sgbench.records.files import read_model

ANSWER = "answer.json"
Goal = Literal["accuracy", "spikes", "safety"]
GOALS: tuple[Goal, ...] = ("accuracy", "spikes", "safety")


@dataclass(frozen=True)
class MeasuredNetwork:
    """Holds properties of a network before training; None: not measured."""

    layers: int  # count of hidden layers
    recurrent: bool  # whether one of them is
    steps: int  # time steps of a sequence
    spikes_per_step: tuple[float, ...] | None = None  # mean spikes a neuron and step, by hidden layer
    channels: int | None = None  # of the input
    neurons: int | None = None  # of the largest hidden layer
    gains: tuple[tuple[str, float], ...] = ()  # factors of the initial weights, by the key of a run
    # of the reference surrogate, `atan` at a width of 0.5; mean over recurrent layers
    passing_steps: float | None = None
    # q of that surrogate, the smallest over recurrent layers; see `diagnosis.passing.near_share`
    near_share: float | None = None

    @property
    def properties(self) -> dict[str, tuple[float, ...]]:
        """Map the names of measured properties to their values, of which each can lie outside of what was run."""
        found = {
            "steps": self.steps,
            "hidden layers": self.layers,
            "input channels": self.channels,
            "neurons in a hidden layer": self.neurons,
            "passing steps": self.passing_steps,
            "q": self.near_share,
        }
        values: dict[str, tuple[float, ...]] = {
            name: (float(value),) for name, value in found.items() if value is not None
        }
        if self.spikes_per_step is not None:
            values["spikes a neuron and step"] = self.spikes_per_step
        return values


class AdvisedSetting(Strict):
    """Holds a setting of the surrogate, and what it lost to the best known one."""

    surrogate: Text  # name in the catalogue; its peak is 1
    width_fwhm: Number  # full width at half maximum [threshold units]
    reset_gradient: Reset | None = None  # of the neurons; None leaves it as it is
    mean_loss: Number | None = None  # points of test accuracy, mean over tasks; None: no run is stored
    worst_loss: Number | None = None  # likewise on the task where it lost most
    worst_on: Text | None = None  # title of that task
    rests_on: Text  # text that counts the tasks and seeds

    @property
    def words(self) -> tuple[str, ...]:
        reset = () if self.reset_gradient is None else (f"neuron.reset_gradient={self.reset_gradient}",)
        return (*reset, f"surrogate={self.surrogate}", f"width_fwhm={self.width_fwhm:g}")

    @property
    def call(self) -> str:
        """Write the setting as a call for a network `net` of snnTorch's neurons."""
        reset = "" if self.reset_gradient is None else f', reset_gradient="{self.reset_gradient}"'
        return f'sgbench.use(net, surrogate="{self.surrogate}", width_fwhm={self.width_fwhm:g}{reset})'


class NetworkAdvice(Strict):
    """Holds the advice for one kind of network."""

    network: Text  # the kind, in words
    recurrent: bool  # whether its hidden layers are
    layers: tuple[int, int | None]  # least and most hidden layers
    # least and most time steps of a sequence; a network with the most belongs to the next kind
    steps: tuple[int, int | None] = (1, None)
    provisional: Text | None = None  # until when the advice is; None: it is not provisional
    settings: dict[Goal, tuple[AdvisedSetting, ...]]  # at most three a goal, the first to try in front
    against: Text  # what losses are to, in words
    doubt: Text  # one sentence
    why: tuple[Text, ...] = ()  # sentences on what the advice rests on
    # least and largest value of measured properties of the tasks' networks, by name
    reach: dict[Text, tuple[Number, Number]] = Field(default_factory=dict)
    # least and largest of the tasks behind the advice; None: not told
    learning_rates: tuple[Number, Number] | None = None

    @property
    def command(self) -> str:
        """Write the command that prints this advice for a network whose shape alone is known."""
        recurrent = " --recurrent" if self.recurrent else ""
        steps = 1300 if self.recurrent and self.steps[1] is None else 100
        return f"sgbench recommend --layers {max(self.layers[0], 1)}{recurrent} --steps {steps}"

    def is_of(self, network: MeasuredNetwork) -> bool:
        """Return whether this is the advice for a network: of its kind, with its number of layers and steps."""
        (least_layers, most_layers), (least_steps, end_of_steps) = self.layers, self.steps  # None: no upper end
        return (
            self.recurrent == network.recurrent
            and least_layers <= network.layers
            and (most_layers is None or network.layers <= most_layers)
            and least_steps <= network.steps
            and (end_of_steps is None or network.steps < end_of_steps)
        )


class StudyAnswer(Strict):
    """Holds the advice for every kind of network.

    `lines`: paragraphs, as README has them; `condition`: on the height of a surrogate whose reset is attached.
    """

    lines: tuple[Text, ...]
    condition: Text
    networks: tuple[NetworkAdvice, ...]

    def of(self, network: MeasuredNetwork) -> NetworkAdvice:
        """Return the advice for networks of this kind; InputError if the study has none."""
        for advice in self.networks:
            if advice.is_of(network):
                return advice
        raise InputError(
            f"recommend: no advice for {network.layers} hidden layers and {network.steps} steps; give another --summary"
        )


def shipped_answer() -> Path:
    """Return the path of the file with the answer, inside the wheel or in the checkout."""
    return shipped_path(ANSWER, ANSWER)


def read_answer(path: Path | None = None) -> StudyAnswer:
    """Read an answer from a file; None reads the shipped one."""
    return read_model(path or shipped_answer(), StudyAnswer)
