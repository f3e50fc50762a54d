"""The end of the work: the report filed, and earlier inspections to compare it with."""
