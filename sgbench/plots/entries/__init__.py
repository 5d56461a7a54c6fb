"""Computes and draws the curves of surrogates, the responses of neurons and the samples of data sets."""
