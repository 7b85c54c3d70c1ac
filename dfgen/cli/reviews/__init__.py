"""A review, written for each of its readers."""
