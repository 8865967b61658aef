"""Proves what docs/guarantees.md promises, by killing the tracker's processes and filling its disk under load."""
