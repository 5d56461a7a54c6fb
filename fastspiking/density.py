"""Densities of events above which a dense product is faster than a sum over events.

Gradients of weights that follow each event were as fast as dense products at 50 % of events in the input of
256 neurons, on a processor with fast dense products (226 GFLOP/s a core in float32); forward the crossings were
24 % there before rows were summed in registers, and 50 % on one with slow products (97 GFLOP/s). The limits are
part of the code and never measured at run time, so that a result does not depend on the machine's load.
"""

FORWARD_DENSE = 0.35
WEIGHT_DENSE = 0.4
SCAN_DENSE = 0.10
"""Of `scan`, whose sums over events are torch's and slower: crossings at 5 % and 16 %."""
CONVOLUTION_DENSE = 0.5
"""Of convolutions, behind which a maximum over windows is taken or not: torch is slower at 28 % and 46 %."""
DELAY_DENSE = 0.35
"""Of synapses that spread an event over several steps."""
