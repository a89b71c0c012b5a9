"""The pill detector: its data set, training with ultralytics, weights, and what it finds."""
