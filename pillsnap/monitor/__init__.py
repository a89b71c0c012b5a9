"""The live view of trainings, `pillsnap monitor`."""
