"""The detector and the reader that come with the project: settings, data and files, made of drawn pills alone."""
