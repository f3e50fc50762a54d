"""Training images varied at random, on whatever device holds them."""
