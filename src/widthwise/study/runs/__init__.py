"""Runs of experiments beside studies: lines of a file, each read back as what wrote it."""
