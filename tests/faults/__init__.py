"""The fault campaign: what happens to a run when processes die, disks fill and raw data change, and what is lost."""
