"""Studies, each with its records and its analysis; none of it is in the wheel."""
