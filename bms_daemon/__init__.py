"""A battery management daemon for Linux boards."""

__version__ = "0.1.0"
