"""Reads file formats of data sets strictly and stores prepared spikes."""
