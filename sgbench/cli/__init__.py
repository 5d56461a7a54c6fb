"""Reads the words of each command and prints its answer, one thin file a command."""

STOPPED, STOPPED_CODE = "sgbench: stopped; the same command continues where it was\n", 130
