import errno
import importlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from fissura.files import new_folder, remove_unfinished, replacing
from fissura.files.atomic import remove_unfinished_of, shortened


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


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    together = threading.Barrier(4)

    def write(content):
        together.wait()
        for _ in range(20):
            with replacing(tmp_path / "same.txt") as temporary:
                temporary.write_text(content)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(write, "abcd"))
    assert (tmp_path / "same.txt").read_text() in set("abcd")
    assert [path.name for path in tmp_path.iterdir()] == ["same.txt"]


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


LEFT = """
import os, signal, sys
from pathlib import Path
from fissura.files import new_folder
with new_folder(Path(sys.argv[1])) as folder:
    (folder / "half.txt").write_text("half")
    print(folder, flush=True)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no locks of folders")
@pytest.mark.parametrize("how", ["killed", "alive"])
def test_a_new_folder_removes_what_a_killed_process_left_and_nothing_of_a_living_one(tmp_path, how):
    target = tmp_path / "a set"
    neighbors = [tmp_path / f".{name}.123.tmp" for name in ("a set 2", "a set.b")]
    for neighbor in neighbors:
        neighbor.mkdir()
    command = [sys.executable, "-c", LEFT, str(target), how]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as other:
        left = Path(other.stdout.readline().strip())
        if how == "killed":
            other.wait()
        assert (left / "half.txt").is_file()
        with new_folder(target) as temporary:
            (temporary / "a.txt").write_text("whole")
        assert left.exists() == (how == "alive")
        other.kill()
    assert [path.name for path in target.iterdir()] == ["a.txt"]
    assert all(neighbor.exists() for neighbor in neighbors)


@pytest.mark.parametrize("name", [251 * "a" + ".png", 125 * "ü" + ".jpg", "Ri\udcdf" * 50 + ".x"])
def test_names_as_long_as_file_systems_allow(tmp_path, name):
    with replacing(tmp_path / name) as temporary:
        temporary.write_text("whole")
    with new_folder(tmp_path / f"{name[:-4]}.set"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name[:-4]}.set"}


def test_long_names_that_begin_alike_have_temporary_files_of_their_own(tmp_path):
    one, other = (tmp_path / f"{248 * 'a'}{end}.png" for end in "bc")
    with replacing(one) as first, replacing(other) as second:
        assert first != second
        first.write_text("1")
        second.write_text("2")
    assert (one.read_text(), other.read_text()) == ("1", "2")


def test_what_a_kill_left_of_one_file_is_removed(tmp_path):
    mine = tmp_path / ".mask.123.tmp.tif"
    others = [tmp_path / f".{name}" for name in ("mask2.123.tmp.tif", "mask.2.123.tmp.tif")]
    for path in (mine, *others):
        path.write_text("half")
    remove_unfinished_of(tmp_path / "mask.tif")
    assert not mine.exists()
    assert all(path.exists() for path in others)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_full_disk_names_the_file(tmp_path, number):
    path = tmp_path / "mask.png"
    with pytest.raises(OSError, match=r"mask\.png'$") as caught, replacing(path):
        raise OSError(number, os.strerror(number))
    assert caught.value.errno == number
    assert caught.value.filename == str(path)


def test_a_full_disk_names_the_folder(tmp_path):
    with pytest.raises(OSError, match=r"/set'$"), new_folder(tmp_path / "set"):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_an_error_of_another_file_keeps_its_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"photo\.png"), replacing(tmp_path / "mask.png"):
        (tmp_path / "photo.png").read_bytes()


def test_a_folder_that_cannot_be_made_is_named_as_it_will_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file'$"), replacing(tmp_path / "file" / "mask.png"):
        pass


@pytest.mark.parametrize("stem", ["a", "ü" * 200, "Ri\udcdf" * 100])
def test_shortened_names_fit(stem):
    assert len(os.fsencode(shortened(stem, 100))) <= 100


@pytest.mark.parametrize("free", [1000, 10**9])
@pytest.mark.parametrize("package", ["rasterio", "pyogrio"])
def test_a_disk_that_is_full_for_gdal_is_full(tmp_path, monkeypatch, package, free):
    errors = importlib.import_module(f"{package}.errors")
    error = errors.RasterioIOError if package == "rasterio" else errors.DataSourceError
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("fissura.files.atomic.shutil.disk_usage", lambda _: usage)
    path = tmp_path / "cracks.gpkg"
    with pytest.raises(OSError if free == 1000 else error) as caught, replacing(path):
        raise error("not recognized as being in a supported file format")
    if free == 1000:
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
