"""Raw data: which archives there are, and what their labels say."""

from pillsnap.sources.archives import Archive, SourceError, list_archives

__all__ = ["Archive", "SourceError", "list_archives"]
