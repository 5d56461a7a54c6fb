"""Reads the words of each command and prints its answer, one thin file a command."""
