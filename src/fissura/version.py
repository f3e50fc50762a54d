"""The version of Fissura."""

__version__ = "0.2.0"
