"""Defines the data that are stored (records of runs, submissions, energy targets), and reads and writes them."""
