"""Runs a pre-registered study block by block and keeps its records in compressed shards."""
