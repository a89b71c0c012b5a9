"""PillSnap: from millions of pill photographs to a drug-identification model that can be made again."""

__version__ = "0.1.0"
