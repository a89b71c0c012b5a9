"""Accuracy, latency and resources of the models on the test part."""
