"""The readers of annotation tools: one file per family of formats."""
