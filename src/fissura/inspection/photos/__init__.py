"""One photo of an inspection: what its file is, whose mask it has, its cracks and its record."""
