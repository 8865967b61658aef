"""How fast the tracker is, beside what its database can do alone."""
