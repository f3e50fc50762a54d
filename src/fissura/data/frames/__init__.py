"""Frames of videos and image sequences: one for each place, the sharpest."""
