"""The version of Fissura."""

__version__ = "0.1.0"
