"""Measure exported models on labelled photographs of any kind, without training."""
