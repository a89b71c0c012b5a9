"""Shared by both trainings: state, checkpoints, steering, and the files that `pillsnap monitor` reads."""
