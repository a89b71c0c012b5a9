"""The data of a stage, described: counts, views, boxes, balance, quarantine, for a page and for the terminal."""
