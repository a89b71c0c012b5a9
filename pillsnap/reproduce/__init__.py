"""Provenance of results: trace a file, compare two runs, and rebuild a commit's stage."""
