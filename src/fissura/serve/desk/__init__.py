"""The desk: its photos, their cracks, edits and their history, and the finished report."""
