"""The second study: the gradient of the reset, and a width chosen by passing steps."""
