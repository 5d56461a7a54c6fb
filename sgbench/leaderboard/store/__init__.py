"""Reads and adds the files behind the boards and trusts none of them."""
