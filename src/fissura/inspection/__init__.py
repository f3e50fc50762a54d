"""Photos in, a measured and judged report out."""
