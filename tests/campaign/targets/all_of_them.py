"""All targets of mutated inputs, in the order of the table."""

from . import annotations, models, photos, settings, states

TARGETS = (
    *photos.TARGETS,
    *annotations.TARGETS,
    *settings.TARGETS,
    *models.TARGETS,
    *states.TARGETS,
)
