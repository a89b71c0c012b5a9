"""Whether a GPU can do a stage's work, measured on it in minutes before a stage takes hours."""
