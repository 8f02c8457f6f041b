"""Starts: a category for each training row, found without labels before training. See `start`."""
