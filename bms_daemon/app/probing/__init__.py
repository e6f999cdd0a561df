"""Bring-up: every part that a configuration names is asked who it is and what it sees, one check a file."""
