"""The version, where both the package and what tells it to others can have it."""

__version__ = "0.1.0"
