"""The built-in source: synthetic photographs of invented drugs, in archives with AIHub's layout."""
