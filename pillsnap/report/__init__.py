"""The report of a stage: facts out of the files that the rules wrote, charts, one page."""
