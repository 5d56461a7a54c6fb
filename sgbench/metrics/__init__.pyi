from sgbench.metrics.spiking import EnergyPerInference as EnergyPerInference
from sgbench.metrics.spiking import Robustness as Robustness
from sgbench.metrics.spiking import SpikeRate as SpikeRate
from sgbench.metrics.spiking import SynapticOperations as SynapticOperations
from sgbench.metrics.spiking import TimeToFirstSpike as TimeToFirstSpike

__all__ = ["EnergyPerInference", "Robustness", "SpikeRate", "SynapticOperations", "TimeToFirstSpike"]
