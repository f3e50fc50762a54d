"""What the desk keeps: photos, cracks and edits, as rows of one SQLite file."""
