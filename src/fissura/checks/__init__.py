"""Checks of a folder of photos and masks, before anything is trained on it."""
