"""From pairs of photo and mask to images of one size in memory, and to batches of them."""
