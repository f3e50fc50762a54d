"""Annotations, masks and results of one format written in another."""
