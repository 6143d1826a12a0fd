"""Keeping house: jobs with a schedule each, one a file."""
