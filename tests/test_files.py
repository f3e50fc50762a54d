import pytest

from fissura.files import replacing


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
