"""Training: from a folder of photos and masks to a run folder with a model."""
