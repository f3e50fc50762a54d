"""Images larger than the memory, or with a place on the earth, predicted by windows."""
