"""Callbacks for anybody's Lightning Trainer: firing rates, gradients, energy on chips, and early warnings."""

from sgbench.callbacks.early_warning import EarlyWarning
from sgbench.callbacks.energy_on_chips import EnergyOnChips
from sgbench.callbacks.firing_rates import FiringRates
from sgbench.callbacks.gradient_flow import GradientFlow

__all__ = ["EarlyWarning", "EnergyOnChips", "FiringRates", "GradientFlow"]
