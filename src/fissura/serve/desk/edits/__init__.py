"""Corrections by a person: what each kind does, and the cracks measured again after it."""
