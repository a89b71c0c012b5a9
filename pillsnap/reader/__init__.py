"""Reader: imprint, shape and colours of a pill from its crop, also of drugs that no training saw."""
