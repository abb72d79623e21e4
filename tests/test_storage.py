"""Atomic files and folders, and the rules for replacing them."""

import os
import stat

import pytest

from fer_utils import storage
from fer_utils.errors import StudyError
from fer_utils.storage import Contents, atomic_file, atomic_folder, expect_replaceable


@pytest.fixture
def umask():
    def set_umask(mask: int) -> None:
        os.umask(mask)

    before = os.umask(0o022)
    yield set_umask
    os.umask(before)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


TEXTS = Contents("texts", "text", ("old", "*/note"))


def write_folder(path, text: str) -> None:
    with atomic_folder(path, TEXTS) as new:
        (new / "text").write_text(text)


def test_file_appears_when_the_block_ends_and_not_before(tmp_path):
    target = tmp_path / "deep" / "er" / "a.csv"
    with atomic_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.parent == target.parent and temporary.suffix == ".csv"
    assert target.read_text() == "whole"
    assert names(target.parent) == ["a.csv"]


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt, SystemExit])
def test_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path, problem):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(problem), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise problem
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_file_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    target, synced = tmp_path / "a.txt", []

    def fsync(descriptor):
        synced.append((os.pread(descriptor, 10, 0), target.exists()))

    monkeypatch.setattr(storage.os, "fsync", fsync)
    with atomic_file(target) as temporary:
        temporary.write_text("whole")
    assert synced == [(b"whole", False)]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_permissions_follow_the_umask(tmp_path, umask, mask):
    umask(mask)
    with atomic_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    write_folder(tmp_path / "folder", "x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask
    assert os.umask(mask) == mask, "the process's umask was changed"


def test_folder_replaces_an_old_one_completely(tmp_path):
    target = tmp_path / "deep" / "folder"
    with atomic_folder(target, TEXTS) as new:
        (new / "text").write_text("first")
        (new / "old").write_text("old")
        assert not target.exists()
    write_folder(target, "new")
    assert names(target.parent) == ["folder", "text"]
    assert (target / "text").read_text() == "new"


@pytest.mark.parametrize("problem", [ValueError, KeyboardInterrupt])
def test_failure_keeps_the_old_folder_and_leaves_nothing_else(tmp_path, problem):
    write_folder(tmp_path / "folder", "old")
    with pytest.raises(problem), atomic_folder(tmp_path / "folder", TEXTS) as new:
        (new / "other").write_text("half")
        raise problem
    assert names(tmp_path) == ["folder", "text"]
    assert (tmp_path / "folder" / "text").read_text() == "old"


def test_the_old_folder_is_put_back_if_the_new_one_cannot_replace_it(tmp_path, monkeypatch):
    target = tmp_path / "folder"
    write_folder(target, "old")
    replace = storage.Path.replace

    def refuse_the_new(self, other):
        if (self / "text").read_text() == "new":
            raise PermissionError("refused")
        return replace(self, other)

    monkeypatch.setattr(storage.Path, "replace", refuse_the_new)
    with pytest.raises(PermissionError):
        write_folder(target, "new")
    assert names(tmp_path) == ["folder", "text"]
    assert (target / "text").read_text() == "old"


def test_a_file_in_place_of_the_folder_is_kept(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(StudyError, match="taken: expected nothing, or texts made by fer-study"):
        write_folder(tmp_path / "taken", "new")
    assert (tmp_path / "taken").read_text() == "mine"
    assert names(tmp_path) == ["taken"]


# --- replacing ---


@pytest.mark.parametrize(
    "theirs", ["thesis.tex", "sub/thesis.tex", "text/deeper", "note", ".hidden"]
)
def test_a_folder_with_a_users_file_is_kept(tmp_path, theirs):
    folder = tmp_path / "folder"
    write_folder(folder, "ours")
    if theirs.startswith("text/"):
        (folder / "text").unlink()
    (folder / theirs).parent.mkdir(exist_ok=True)
    (folder / theirs).write_text("mine")
    before = names(tmp_path)
    with pytest.raises(StudyError, match="It was left as it is"):
        write_folder(folder, "new")
    assert names(tmp_path) == before and (folder / theirs).read_text() == "mine"


def test_a_folder_without_the_file_that_ours_always_contain_is_kept(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("mine, with that name")
    with pytest.raises(StudyError, match="It was left as it is"):
        write_folder(tmp_path / "folder", "new")


def test_an_empty_folder_and_files_of_desktops_may_be_replaced(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_folder(folder, "first")
    (folder / ".DS_Store").touch()
    (folder / "one").mkdir()
    (folder / "one" / "note").touch()
    write_folder(folder, "second")
    assert names(tmp_path) == ["folder", "text"] and (folder / "text").read_text() == "second"


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    disk = tmp_path / "other disk"
    write_folder(disk, "first")
    (tmp_path / "link").symlink_to(disk)
    write_folder(tmp_path / "link", "second")
    assert (tmp_path / "link").is_symlink() and (disk / "text").read_text() == "second"


def test_the_input_is_never_replaced_under_any_name(tmp_path):
    (tmp_path / "photo").write_text("mine")
    (tmp_path / "same").symlink_to(tmp_path / "photo")
    for name in ("photo", "same"):
        with pytest.raises(StudyError, match="expected another file than the one that is read"):
            expect_replaceable(
                tmp_path / name, "a drawing", lambda path: True, reads=tmp_path / "photo"
            )


def test_a_broken_link_is_kept(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(StudyError, match="found something else"):
        expect_replaceable(tmp_path / "link", "a drawing", lambda path: False)
