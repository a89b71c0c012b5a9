"""From raw archives to the manifest: index, plan, the one decode, quarantine, classes."""
