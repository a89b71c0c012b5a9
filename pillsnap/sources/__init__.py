"""Raw data: which archives there are, and what their labels say."""

from pillsnap.sources.registry import Archive, SourceError, list_archives, source_root

__all__ = ["Archive", "SourceError", "list_archives", "source_root"]
