"""The version of the engines' arithmetic, which stands in every record among those of the packages."""

ENGINE = "11"
"""Raised when sums are made in another order. 1 sorted events and went back in chunks of time; 2 goes by blocks of
samples, with Adam in one loop; 3 sends the readout's gradient back as a trace, and goes by blocks for windows,
feedback weights and layers that run apart too; 4 has the readout behind a `generated` layer in its loops, adds the
gradients of weights around it in that order as well, and makes exp, tanh and sigmoid of float32 there with fused
products. 5 adds the weights of events one after another, forward too. 6 follows events in more crowded layers
(`density.WEIGHT_DENSE`), and replicas whose hidden layers are more crowded still go back by the spikes of their own
batch, where 3 to 5 took those of an epoch's first. 7 validates neurons that learn on `generated` by their present
numbers, where 4 to 6 took those of the first validation until the best weights were loaded. 8 convolves spikes
by events, over time too where synapses delay. 9 adds delayed events in the order of time, pieces of the inputs one
after another. 10 rounds adjoints of neurons with learnt decays or thresholds once less. 11 adds delayed events
to the bias, by groups of samples and by inputs, and makes Gaussians of delays in the loops. Forward 3 is 2 to the
bit; 4 differs from 3 in `generated` layers and the readout behind them alone."""
