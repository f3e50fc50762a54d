"""The ways through a network: whole, by bands of rows, and in other programs."""
