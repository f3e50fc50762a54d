"""`Labels`: what the values of masks stand for where there is more to tell than crack or not."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fissura.errors import InputError

UNLABELED = 255  # what most tools write where a pixel has no label
MOST_OVERLAPPING = 7  # bits of a byte, of which one pattern is left for pixels without a label


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The meaning of mask values.

    Attributes:
        classes: Names of the classes, without the background; none for crack or not.
        values: The value of each class in index masks, in which 0 is background; by default 1, 2,
            3 and so on.
        overlapping: Whether a pixel may belong to several classes. There is then a mask, crack or
            not, for each class, in a folder of the class's name below the folder of masks.
        ignore: The value of pixels without a label. None: 255 of index masks, and of crack masks
            that hold 0, 1 and 255.

    Raises:
        InputError: Names or values are empty, doubled or out of range.

    >>> Labels.parse("crack,spalling=4")
    Labels(classes=('crack', 'spalling'), values=(1, 4), overlapping=False, ignore=None)
    """

    classes: tuple[str, ...] = ()
    values: tuple[int, ...] = ()
    overlapping: bool = False
    ignore: int | None = None

    def __post_init__(self) -> None:
        if not self.values and not self.overlapping:
            object.__setattr__(self, "values", tuple(range(1, len(self.classes) + 1)))
        self._check()

    @classmethod
    def parse(
        cls, names: str | None, *, overlapping: bool = False, ignore: int | None = None
    ) -> Labels:
        """Read names of classes as they are typed: `crack,spalling=4`, with values where given.

        Args:
            names: Names, separated by commas; None for crack or not. Without a value a class has
                the number of its place, from 1.
            overlapping: See `Labels`.
            ignore: See `Labels`.

        Raises:
            InputError: Names or values are empty, doubled or out of range.
        """
        if names is None:
            return cls(overlapping=overlapping, ignore=ignore)
        classes, values = [], []
        for place, part in enumerate(names.split(","), start=1):
            name, equals, value = (word.strip() for word in part.partition("="))
            if equals and not re.fullmatch(r"\d+", value):
                raise InputError(
                    f"--classes {names}: {value!r} is no value of a mask. Write the classes as "
                    "crack,spalling=4: names, and their values in the masks where these are not "
                    "1, 2, 3 …"
                )
            classes.append(name)
            values.append(int(value) if equals else place)
        if overlapping and "=" in names:
            raise InputError(
                f"--classes {names}: overlapping classes have no values, but a folder of masks "
                "each. Give their names alone."
            )
        return cls(
            classes=tuple(classes),
            values=() if overlapping else tuple(values),
            overlapping=overlapping,
            ignore=ignore,
        )

    @property
    def default(self) -> bool:
        """Whether there is nothing to tell: masks of crack or not."""
        return self == Labels()

    @property
    def unlabeled(self) -> int | None:
        """The value of pixels without a label in index masks, or None where there is none."""
        if self.ignore is not None:
            return self.ignore
        return None if UNLABELED in self.values else UNLABELED

    def _check(self) -> None:
        """Raise `InputError` for names and values that cannot be."""
        told = ",".join(self.classes)
        problem = ""
        if any(not re.fullmatch(r"[^\s/\\,=][^/\\,=]*", name) for name in self.classes):
            problem = "each class needs a name, without slashes, commas and equals signs"
        elif len({name.casefold() for name in self.classes}) < len(self.classes):
            problem = "two classes have one name"
        elif any(name.casefold() == "background" for name in self.classes):
            problem = "the background, value 0, is there by itself; name the other classes alone"
        elif len(set(self.values)) < len(self.values):
            problem = f"two classes have one value: {', '.join(map(str, self.values))}"
        elif not self.overlapping and len(self.values) != len(self.classes):
            problem = f"there are {len(self.classes)} classes, but {len(self.values)} values"
        elif any(not 1 <= value <= 65535 for value in self.values):
            problem = "values lie between 1 and 65535, and 0 is the background"
        elif self.ignore is not None and self.ignore in self.values:
            problem = f"the value {self.ignore} is a class and cannot be ignored"
        elif self.ignore == 0 and self.classes:
            problem = "the value 0 is the background of index masks and cannot be ignored"
        elif self.overlapping and not self.classes:
            problem = "overlapping classes need names"
        elif self.overlapping and len(self.classes) > MOST_OVERLAPPING:
            problem = f"at most {MOST_OVERLAPPING} classes may overlap, but these are " + str(
                len(self.classes)
            )
        elif len(self.classes) > 254:
            problem = "there can be at most 254 classes"
        if problem:
            raise InputError(f"--classes {told}: {problem}.")
        if self.ignore is not None and not 0 <= self.ignore <= 65535:
            raise InputError(f"--ignore is {self.ignore}; values lie between 0 and 65535.")
