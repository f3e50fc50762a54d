import pytest

from fissura.files import new_folder, remove_unfinished, replacing


def test_the_old_content_stays_when_writing_fails(tmp_path):
    path = tmp_path / "value.txt"
    path.write_text("old")

    def fail_in_the_middle():
        with replacing(path) as temporary:
            temporary.write_text("ne")
            raise RuntimeError("no more ink")

    with pytest.raises(RuntimeError, match="no more ink"):
        fail_in_the_middle()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_content_appears_at_the_end_only(tmp_path):
    path = tmp_path / "sub" / "value.txt"
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.suffix == path.suffix
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_only_what_a_kill_left_is_removed(tmp_path):
    (tmp_path / "sub").mkdir()
    kept = [tmp_path / name for name in (".hidden", "a.tmp", ".notes.tmp", "sub/.x.1.txt")]
    for path in kept:
        path.write_text("mine")
    with replacing(tmp_path / "sub" / "state.pt") as temporary:
        temporary.write_text("half")
        left = temporary.with_name(temporary.name)
        content = left.read_text()
    left.write_text(content)  # as if the process had died before its end
    remove_unfinished(tmp_path)
    assert not left.exists()
    assert (tmp_path / "sub" / "state.pt").exists()
    assert all(path.exists() for path in kept)


def test_a_new_folder_appears_whole_and_replaces_nothing(tmp_path):
    target = tmp_path / "set"
    with new_folder(target) as temporary:
        (temporary / "a.txt").write_text("whole")
        assert not target.exists()

    def replace_it():
        with new_folder(target) as temporary:
            (temporary / "b.txt").write_text("other")

    with pytest.raises(OSError, match="not empty"):
        replace_it()
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", [251 * "a" + ".png", 125 * "ü" + ".jpg", "Ri\udcdf" * 50 + ".x"])
def test_names_as_long_as_file_systems_allow(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("whole")
    with new_folder(tmp_path / f"{name[:-4]}.set"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name[:-4]}.set"}
