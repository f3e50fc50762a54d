"""Find cracks in pictures pixel by pixel, and train the models that do it."""

__version__ = "0.1.0"
