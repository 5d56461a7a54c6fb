"""Run a pre-registered study block by block, keep its records in compressed shards, and say where it stands."""
