"""A table of drugs by their looks, to look up a pill that no model names."""
