"""Scores one split and measures the firing of each layer, batch by batch; the same as metrics of torchmetrics."""

__all__ = ["EnergyPerInference", "Robustness", "SpikeRate", "SynapticOperations", "TimeToFirstSpike"]


def __getattr__(name: str) -> object:
    """Import a metric when it is first used, since runs need no torchmetrics."""
    if name not in __all__:
        raise AttributeError(f"module 'sgbench.metrics' has no attribute '{name}'")
    from sgbench.metrics import spiking

    return getattr(spiking, name)
