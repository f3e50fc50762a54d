"""Two inspections of one element compared: photos paired and registered, cracks matched."""
