"""Checks the advice for recurrent networks on new seeds, from four starts."""
