"""Releases of all boards: one archive to cite, which says of itself whether it is whole."""
