"""The options of choosing frames, without heavy imports, so that help is instant."""

from __future__ import annotations

from dataclasses import dataclass

from fissura.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FrameOptions:
    """Which frames of a video are taken: the sharpest of each place."""

    every: float | None = None
    """Seconds after which a new place begins; 1 where --motion is not given either."""

    motion: float | None = None
    """A new place begins where the picture has moved by this fraction of its width or height; 0.5
    leaves nothing out between two frames."""

    rate: float = 1.0
    """Images per second in a folder of images, which has no times of its own."""

    def __post_init__(self) -> None:
        for name in ("every", "motion", "rate"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InputError(f"--{name} is {value:g}, but must be above 0.")

    @property
    def seconds(self) -> float | None:
        """After how many seconds a new place begins; None for never."""
        return 1.0 if self.every is None and self.motion is None else self.every
