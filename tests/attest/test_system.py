"""The real system's side of the boundary, on plain files; the simulated kernel shows nothing of this machine."""

import errno
import os
import socket
from pathlib import Path

import pytest

from intaglio.attest.errors import CannotAttest, Problem, from_os
from intaglio.attest.image import MAX_FILE, ImageFolder
from intaglio.attest.system import KERNEL, opened, read_all, write_once
from intaglio.attest.tdx_guest import GET_REPORT0, TdReportRequest
from intaglio.sim.devices.kernel import SimulatedKernel


def test_files_are_read_whole_and_no_further(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(200_000))
    assert read_all(KERNEL, str(path), 200_000) == bytes(200_000)
    with pytest.raises(OSError) as caught:
        read_all(KERNEL, str(path), 199_999)
    assert caught.value.errno == errno.EFBIG
    assert KERNEL.exists(str(path))
    assert not KERNEL.exists(str(path) + "?")


def test_a_write_is_one_write(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    write_once(KERNEL, str(path), b"after!")
    assert path.read_bytes() == b"after!"
    KERNEL.mkdir(str(tmp_path / "folder"))
    KERNEL.rmdir(str(tmp_path / "folder"))


def test_a_write_that_was_cut_is_not_continued(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pseudo-file would take the rest for another value."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setattr(os, "write", lambda _, data: len(data) - 1)
    with pytest.raises(OSError) as caught:
        write_once(KERNEL, str(tmp_path / "file"), b"after!")
    assert caught.value.errno == errno.EIO


def test_no_device_takes_our_requests_for_its_own() -> None:
    with opened(KERNEL, "/dev/null", os.O_RDWR) as fd, pytest.raises(OSError) as caught:
        KERNEL.ioctl(fd, GET_REPORT0, TdReportRequest())
    assert caught.value.errno == errno.ENOTTY
    assert from_os(caught.value, "/dev/null").problem is Problem.REFUSED


def test_a_vsock_that_nobody_serves_is_closed_again() -> None:
    if not hasattr(socket, "AF_VSOCK"):
        pytest.skip("no vsock here")
    with pytest.raises(OSError):
        KERNEL.vsock(1, 1, 0.1)
    KERNEL.sleep(0)


def test_an_image_has_a_largest_file(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(OSError) as caught:
        ImageFolder(KERNEL, str(tmp_path)).read("large")
    assert caught.value.errno == errno.EFBIG


def test_a_folder_is_not_a_file_and_a_link_leads_nowhere_new(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name in ("folder", "absent"):
        with pytest.raises(FileNotFoundError):
            ImageFolder(KERNEL, str(tmp_path)).read(name)


def test_the_simulated_kernel_shows_nothing_of_this_machine() -> None:
    kernel = SimulatedKernel()
    assert not kernel.exists("/")
    with pytest.raises(FileNotFoundError):
        kernel.open("/dev/null", os.O_RDONLY)
    with pytest.raises(OSError):
        kernel.vsock(2, 4050, 1.0)
    with pytest.raises(OSError):
        kernel.read(0, 1)


def test_every_error_number_has_an_answer() -> None:
    for number in errno.errorcode:
        error = from_os(OSError(number, os.strerror(number)), "/dev/something")
        assert isinstance(error, CannotAttest)
        assert errno.errorcode[number] in str(error)
        assert error.remedy
