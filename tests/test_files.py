"""Files that are there whole or not at all, whatever fails while they are written."""

import errno
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from intaglio.files import create_private, exclusive, remove_leftovers, replace_private

Write = Callable[[Path, bytes], None]
BOTH = pytest.mark.parametrize("write", [create_private, replace_private])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@BOTH
def test_a_file_is_its_owners_from_its_first_byte(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the umask: nobody may open it while it is written and read on later."""
    seen: list[int] = []
    fdopen = os.fdopen

    def looking(descriptor: int, how: str) -> object:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return fdopen(descriptor, how)

    monkeypatch.setattr(os, "fdopen", looking)
    before = os.umask(0)
    try:
        write(tmp_path / "key", b"secret")
    finally:
        os.umask(before)
    assert (seen, mode(tmp_path / "key")) == ([0o600], 0o600)
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert names(tmp_path) == ["key"]


def test_what_is_there_is_never_overwritten_by_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_private(path, b"first")
    with pytest.raises(FileExistsError):
        create_private(path, b"second")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        create_private(tmp_path / "link", b"second")
    assert path.read_bytes() == b"first"
    assert names(tmp_path) == ["key", "link"]


def test_a_replaced_file_is_private_whatever_the_old_one_was(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    path.chmod(0o644)
    with path.open("rb") as reader:
        replace_private(path, b"new")
        assert reader.read() == b"old", "who reads the old file reads it to its end"
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


def test_a_link_in_the_files_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"target")
    (tmp_path / "state").symlink_to(tmp_path / "target")
    replace_private(tmp_path / "state", b"new")
    assert (tmp_path / "target").read_bytes() == b"target"
    assert not (tmp_path / "state").is_symlink()


@BOTH
def test_bytes_are_on_disk_before_the_name_and_the_name_before_the_end(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        status = os.fstat(descriptor)
        what = "folder" if stat.S_ISDIR(status.st_mode) else f"{status.st_size} bytes"
        flushed.append((what, (tmp_path / "state").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)
    write(tmp_path / "state", b"content")
    assert flushed == [("7 bytes", write is create_private), ("folder", True)]


@BOTH
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing_behind(
    write: Write, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_: int) -> None:
        raise failure

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing)
        with pytest.raises(type(failure)):
            write(tmp_path / "state", b"content")
    assert names(tmp_path) == []
    write(tmp_path / "state", b"content")
    assert names(tmp_path) == ["state"]


def test_a_folder_that_can_not_be_flushed_leaves_no_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was told that a key could not be made may try again under the same name."""
    fsync = os.fsync

    def failing(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output"):
        create_private(tmp_path / "key", b"secret")
    assert names(tmp_path) == []


def test_a_replacement_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    replace_private(tmp_path / "state", b"old")
    for where in (os, Path):
        with monkeypatch.context() as patch:
            patch.setattr(where, "fsync" if where is os else "replace", failing)
            with pytest.raises(OSError, match="Input/output"):
                replace_private(tmp_path / "state", b"new")
        assert names(tmp_path) == ["state"]
        assert (tmp_path / "state").read_bytes() == b"old"


def test_what_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """Neither a half-written file of an earlier process nor whatever a stranger put where it might have been."""
    for name in ("state.new", ".state.", ".state.new", ".state.tmp"):
        (tmp_path / name).mkdir()
    before = names(tmp_path)
    replace_private(tmp_path / "state", b"new")
    assert names(tmp_path) == sorted([*before, "state"])


def test_what_a_crash_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    descriptor, left = tempfile.mkstemp(dir=tmp_path, prefix=".keystore.")
    os.close(descriptor)
    others = [tmp_path / name for name in ("keystore", "keystore.lock", ".keystore.swp", ".other.abcdefgh")]
    for other in others:
        other.write_bytes(b"")
    remove_leftovers(tmp_path, "keystore")
    assert not Path(left).exists()
    assert sorted(tmp_path.iterdir()) == sorted(others)


def test_a_folder_is_one_processs_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with exclusive(folder):
        descriptor = os.open(folder / ".lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
    assert mode(folder) == 0o700
    assert mode(folder / ".lock") == 0o600


@pytest.mark.parametrize(("name", "error"), [("folder", IsADirectoryError), ("none/file", FileNotFoundError)])
def test_what_can_not_be_replaced_is_called_by_its_name(name: str, error: type[OSError], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(error) as caught:
        replace_private(tmp_path / name, b"content")
    assert str(caught.value).endswith(f": {str(tmp_path / name)!r}")
    assert names(tmp_path) == ["folder"]
