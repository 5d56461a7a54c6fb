"""Writes releases of all boards as archives to cite, reads strangers' ones, and takes them."""
