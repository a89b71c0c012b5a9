"""What a picture's file costs to decode, by a walk over its bytes that decodes nothing."""
