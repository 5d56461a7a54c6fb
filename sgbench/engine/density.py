"""From which density of events on a dense product is faster than following each event.

On a processor with fast dense products (156 GFLOP/s a core in float32) the crossings were measured at 24 % forward
and 17 % for gradients of weights, on one with slow ones (97 GFLOP/s) at 50 % and 27 %. The limits lie between. They
are part of the code and never measured at run time, so that a result does not depend on a machine's mood.
"""

FORWARD_DENSE = 0.35
WEIGHT_DENSE = 0.22
SCAN_DENSE = 0.10
"""Of `scan`, whose sums over events are torch's and slower: crossings at 5 % and 16 %."""
