"""How fast the tracker is, compared with what its database can do alone."""
