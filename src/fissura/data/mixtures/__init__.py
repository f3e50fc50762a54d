"""Several sets as one, and the random crops that are drawn from it."""
