"""Where results come from, why two of them differ, and whether they can be made again."""
