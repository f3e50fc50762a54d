"""Names of results: unique on every file system, and guessable."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fissura.inference.results import output_names

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
