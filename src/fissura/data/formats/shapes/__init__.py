"""Shapes as files write them, as outlines, as runs and as pixels, and each made of another."""
