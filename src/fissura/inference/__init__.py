"""From a trained model and photos of any size to probabilities, masks and tables."""
