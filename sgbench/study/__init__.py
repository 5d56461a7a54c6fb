"""Runs a pre-registered study block by block, keeps its records in compressed shards, and reports them."""
