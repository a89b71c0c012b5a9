"""Scenes composed from cut-out pills, grounds and things: more places than the source photographed pills in."""
