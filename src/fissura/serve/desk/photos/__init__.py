"""Photos on the desk: open in memory, as tiles, with what the model found on them."""
