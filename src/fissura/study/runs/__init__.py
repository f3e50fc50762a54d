"""The runs of a study: what they cost, how they are done, and how far they are."""
