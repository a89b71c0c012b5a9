"""The built-in source: synthetic pills, photographed synthetically, in archives of AIHub's shape."""
