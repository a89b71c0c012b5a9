"""Checks before a stage's first photograph is decoded: disk, memory, GPU, raw data, plan, manifest."""
