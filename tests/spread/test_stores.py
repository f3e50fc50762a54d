"""Photos in a store: fsspec's memory stands for the buckets of others."""

from pathlib import Path

import pytest

from fissura.errors import InputError
from fissura.spread.stores import address_of, fetched, find_photos, is_address, list_photos

fsspec = pytest.importorskip("fsspec")


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    for name in ("a10.jpg", "a2.jpg", "deck/b.PNG", "notes.txt", ".hidden/c.jpg"):
        system.pipe(f"/bucket/photos/{name}", name.encode())
    yield Path("memory://bucket/photos")
    system.rm("/bucket", recursive=True)


def test_images_are_listed_in_natural_order(memory):
    found = list_photos(memory)
    expected = ["a2.jpg", "a10.jpg", "deck/b.PNG"]
    assert [address_of(one) for one in found] == [f"memory://bucket/photos/{n}" for n in expected]
    assert list_photos(memory / "a2.jpg") == [memory / "a2.jpg"]
    assert find_photos([memory, memory / "a2.jpg"], stores=True) == found


def test_a_photo_is_fetched_for_as_long_as_it_is_needed(memory):
    with fetched(memory / "deck" / "b.PNG") as file:
        assert file.name == "b.PNG"
        assert file.read_bytes() == b"deck/b.PNG"
        assert file.stat().st_mtime == 0
    assert not file.exists()
    with fetched(Path("own.jpg")) as file:
        assert file == Path("own.jpg")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("memory://bucket/none", "holds no images|cannot be listed"),
        ("https://example.org/photos", "is a page"),
        ("nothing://bucket", "cannot be opened"),
    ],
)
def test_what_cannot_be_listed(address, words, memory):
    with pytest.raises(InputError, match=words):
        list_photos(Path(address))
    with pytest.raises(InputError), fetched(Path(address) / "a.jpg"):
        pass


def test_without_a_cluster_an_address_is_a_path_that_is_not_there(memory):
    with pytest.raises(InputError, match="does not exist"):
        find_photos([memory], stores=False)


@pytest.mark.parametrize("path", ["C:/photos", "photos", "/data/photos", "a/b:/c"])
def test_paths_are_no_addresses(path):
    assert not is_address(path)
