"""The detector that comes with the project: settings, data set and file of its training on drawn pills alone."""
