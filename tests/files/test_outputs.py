"""Names of results: unique on every file system, and guessable; folders claimed for them."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fissura.errors import InputError
from fissura.files import OutputOptions, claim, output_names

parts = st.sampled_from(["a", "A", "b", "a_jpg", "a_png", "a_jpg_", "ä", "x.y"])
suffixes = st.sampled_from([".jpg", ".JPG", ".png", ".tif"])
paths = st.builds(
    lambda folders, stem, suffix: Path("root", *folders, stem + suffix),
    st.lists(parts, max_size=2),
    parts,
    suffixes,
)


@given(st.lists(paths, unique=True, min_size=1, max_size=12))
def test_no_two_files_share_a_name(files):
    names = output_names(files, [Path("root")])
    assert len({name.casefold() for name in names}) == len(files)
    for file, name in zip(files, names, strict=True):
        below = file.relative_to("root")
        assert name.startswith(below.with_suffix("").as_posix())


def test_names_are_below_the_folder_that_holds_all_inputs():
    a, b = Path("deck/north/1.jpg"), Path("deck/south/1.jpg")
    assert output_names([a], [Path("deck")]) == ["north/1"]
    assert output_names([a], [a]) == ["1"]
    assert output_names([a, b], [a, b]) == ["north/1", "south/1"]
    assert output_names([a, b], [Path("deck/north"), b]) == ["north/1", "south/1"]
    assert output_names([a, b], [Path("deck/../deck")]) == ["north/1", "south/1"]


@pytest.mark.skipif(os.name != "posix", reason="names are bytes on POSIX alone")
def test_bytes_that_are_no_text_become_letters_and_stay_unique():
    files = [Path(os.fsdecode(name)) for name in (b"d/Ri\xdf.png", "d/Riß.png".encode())]
    names = output_names(files, [Path("d")])
    assert names == ["Riß_png", "Riß_png_"]
    assert output_names(files[:1], [Path("d")]) == ["Riß"]


@pytest.mark.parametrize("stem", ["a" * 250, "ü" * 125, "a" * 241])
def test_long_names_leave_room_for_any_suffix_and_stay_unique(stem):
    files = [Path(f"d/{stem}.png"), Path(f"d/{stem}.jpg"), Path(f"d/{stem[:-1]}b.jpg")]
    names = output_names(files, [Path("d")])
    assert len(set(names)) == 3
    assert all(len(name.encode()) <= 240 for name in names)


SETTINGS = {"model": "a", "threshold": 0.5}
NEW, RESUME, OVERWRITE = OutputOptions(), OutputOptions(resume=True), OutputOptions(overwrite=True)


def test_a_folder_is_claimed_once_resumed_and_overwritten(tmp_path):
    file, stale = tmp_path / "out" / "settings.json", tmp_path / "out" / "table.csv"
    assert claim(file, SETTINGS, NEW, notes={"versions": {"fissura": "1"}}) is False
    assert json.loads(file.read_text()) == SETTINGS | {"versions": {"fissura": "1"}}
    stale.write_text("old")
    with pytest.raises(InputError, match=r"not empty.*--resume.*--overwrite"):
        claim(file, SETTINGS, NEW)
    assert claim(file, SETTINGS, RESUME, notes={"versions": {"fissura": "2"}}) is True
    for other in ({"threshold": 0.6}, {"tta": True}):
        with pytest.raises(InputError, match=rf"other settings \({next(iter(other))}; see sett"):
            claim(file, SETTINGS | other, RESUME)
    assert claim(file, SETTINGS, OVERWRITE, stale=[stale]) is False
    assert not stale.exists()


@pytest.mark.parametrize("nothing", [None, False, 0.0])
def test_a_choice_that_an_earlier_version_did_not_know_was_not_made(tmp_path, nothing):
    file = tmp_path / "out" / "settings.json"
    claim(file, SETTINGS, NEW)
    assert claim(file, SETTINGS | {"new": nothing}, RESUME) is True
    with pytest.raises(InputError, match=r"other settings \(new; see"):
        claim(file, SETTINGS | {"new": 0.9}, RESUME)


def test_a_choice_that_was_made_is_not_dropped(tmp_path):
    file = tmp_path / "out" / "settings.json"
    claim(file, SETTINGS | {"of_class": "rust"}, NEW)
    with pytest.raises(InputError, match=r"other settings \(of_class; see"):
        claim(file, SETTINGS | {"of_class": None}, RESUME)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_damaged_settings_get_a_sentence(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(InputError, match=r"settings\.json is damaged"):
        claim(tmp_path / "settings.json", SETTINGS, RESUME)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(InputError, match="is a file"):
        claim(tmp_path / "out" / "settings.json", SETTINGS, OVERWRITE)
