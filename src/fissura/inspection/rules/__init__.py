"""Rules by which cracks are judged: limits, severity, kinds, and the files they stand in."""
