"""Kinds of raw data: archives, containers, labels; one module a kind, listed in `registry.py`."""
