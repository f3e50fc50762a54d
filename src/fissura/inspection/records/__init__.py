"""Records of inspected photos: facts, cracks, corrections, sums, and where they are kept."""
