"""Tables on disk: their schemas, how they are written and read, the class list, reasons of the quarantine."""
