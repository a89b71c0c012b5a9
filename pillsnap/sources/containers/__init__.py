"""Zips, tars, folders and text files as people keep them, read without trust."""
