"""Folders of one class each as a kind of source."""
