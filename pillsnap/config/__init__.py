"""The configuration: its sections, how files are read and checked, its reference."""
