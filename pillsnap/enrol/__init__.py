"""Enrol drugs that no training saw from a few photographs, and measure what that is worth."""
