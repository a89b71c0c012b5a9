"""Facts that sections of the report and the model card share."""
