"""Photographs as arrays: decoding, metadata, scaling, boxes, drawing."""
