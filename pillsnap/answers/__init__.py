"""An answer and how far it can be trusted: calibration, thresholds, accuracy."""
