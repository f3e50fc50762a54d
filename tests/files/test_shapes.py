"""`check_shape` takes what has the types, however deep, and says of the rest where it is wrong."""

from dataclasses import dataclass, field
from typing import Any, Literal, TypedDict

import pytest

from fissura.files.documents import DocumentError
from fissura.files.shapes import check_shape


@dataclass(frozen=True)
class Photo:
    name: str
    size_hw: tuple[int, int]
    scale: float | None = None
    notes: list[str] = field(default_factory=list)


class Told(TypedDict, total=False):
    photos: list[Photo]
    kind: Literal["a", "b"]
    rest: dict[str, Any]


PHOTO = {"name": "a", "size_hw": [1, 2]}


@pytest.mark.parametrize(
    "value",
    [
        {}, {"other": 1}, {"photos": []}, {"kind": "b"}, {"photos": [PHOTO]},
        {"photos": [PHOTO | {"scale": None}, PHOTO | {"scale": 1}, PHOTO | {"scale": 0.5}]},
        {"photos": [PHOTO | {"size_hw": (1, 2), "name": "\udcb3", "notes": ["ä"]}]},
        {"rest": {"a": [1, {"b": None}], "c": True}}, {"photos": [PHOTO | {"scale": float("nan")}]},
    ],
)  # fmt: skip
def test_right_values_pass(value):
    check_shape(value, Told)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([], "a mapping"), ({"photos": 5}, "photos: 5 is not a list"), ({"kind": ["a"]}, "kind"),
        ({"photos": ["a"]}, "photos: 1: 'a' is not a mapping"),
        ({"photos": [PHOTO, {"name": "a"}]}, "photos: 2: size_hw is missing"),
        ({"photos": [PHOTO | {"date": 1}]}, "date' is not known"),
        ({"photos": [PHOTO | {"size_hw": [1]}]}, "a list of 2"),
        ({"photos": [PHOTO | {"size_hw": [1, True]}]}, "True is not a whole number"),
        ({"photos": [PHOTO | {"size_hw": [1, 2.0]}]}, "2.0 is not a whole number"),
        ({"photos": [PHOTO | {"scale": "1"}]}, "'1' is not a number"),
        ({"photos": [PHOTO | {"scale": 10**400}]}, "many digits"),
        ({"photos": [PHOTO | {"notes": [None]}]}, "None is not a text"),
        ({"rest": {"a": ["\ud800"]}}, "rest: a: 1: '\\ud800' is not text in Unicode"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(value, told):
    with pytest.raises(DocumentError) as raised:
        check_shape(value, Told)
    assert told in str(raised.value)
