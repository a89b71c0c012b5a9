"""Figures of a stage's data: photographs, pills and drugs of each part, their boxes, and how even the classes are."""
