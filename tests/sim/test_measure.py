"""MRENCLAVE against a second implementation of the SDM's log, and what must and must not change it."""

import hashlib
import struct
import subprocess
import sys
from pathlib import Path

import pytest

import intaglio
from intaglio.sim.loader import image_of, measure
from intaglio.sim.measure import Image, TrustedFile, measure_image

FILES = (TrustedFile("a.py", b"x" * 5000), TrustedFile("dc.pub", b"pin"), TrustedFile("empty", b""))


def by_hand(files: tuple[TrustedFile, ...]) -> bytes:
    """The SDM read a second time: ECREATE, then EADD and 16 EEXTENDs a page."""
    manifest = b"intaglio/1 image\n" + b"".join(b"%d %s\n" % (len(f.content), f.name.encode()) for f in files)
    parts = [(manifest, 0x201), *((f.content, 0x205 if f.name.endswith(".py") else 0x201) for f in files)]
    pages = [(part[i : i + 4096].ljust(4096, b"\0"), flags) for part, flags in parts for i in range(0, len(part), 4096)]
    tcs = bytearray(4096)
    struct.pack_into("<Q", tcs, 16, (len(pages) + 1) * 4096)
    struct.pack_into("<I", tcs, 28, 1)
    struct.pack_into("<II", tcs, 64, 0xFFF, 0xFFF)
    pages += [(bytes(tcs), 0x100), (bytes(4096), 0x203)]
    size = 4096
    while size < len(pages) * 4096:
        size *= 2
    log = hashlib.sha256(struct.pack("<8sIQ44x", b"ECREATE", 1, size))
    for number, (content, flags) in enumerate(pages):
        log.update(struct.pack("<8sQQ40x", b"EADD", number * 4096, flags))
        for chunk in range(0, 4096, 256):
            log.update(struct.pack("<8sQ48x", b"EEXTEND", number * 4096 + chunk) + content[chunk : chunk + 256])
    return log.digest()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_measurement_is_that_of_the_manual(count: int) -> None:
    assert measure_image(FILES[:count]) == by_hand(FILES[:count])


@pytest.mark.parametrize(
    "changed",
    [
        (FILES[1], FILES[0], FILES[2]),
        FILES[:2],
        (TrustedFile("b.py", FILES[0].content), *FILES[1:]),
        (TrustedFile("a.py", FILES[0].content + b"\0"), *FILES[1:]),
        (TrustedFile("a.py", b"y" + FILES[0].content[1:]), *FILES[1:]),
    ],
    ids=["order", "fewer", "name", "trailing zero", "one byte"],
)
def test_every_change_changes_the_measurement(changed: tuple[TrustedFile, ...]) -> None:
    assert measure_image(changed) != measure_image(FILES)


def test_moving_a_byte_between_files_changes_the_measurement() -> None:
    one = (TrustedFile("a", b"12"), TrustedFile("b", b"3"))
    other = (TrustedFile("a", b"1"), TrustedFile("b", b"23"))
    assert measure_image(one) != measure_image(other)


@pytest.mark.parametrize(
    "files",
    [(FILES[0], FILES[0]), (TrustedFile("", b""),), (TrustedFile("a\n9 b", b""),)],
    ids=["twice", "empty", "newline"],
)
def test_names_that_could_confuse_the_manifest_are_refused(files: tuple[TrustedFile, ...]) -> None:
    with pytest.raises(ValueError, match="image"):
        Image(files)


def test_a_file_that_is_not_measured_is_not_there() -> None:
    image = Image(FILES)
    assert image.content("dc.pub") == b"pin"
    with pytest.raises(FileNotFoundError):
        image.content("/etc/passwd")


def test_image_rule(tmp_path: Path) -> None:
    script, pin, extra = tmp_path / "meter.py", tmp_path / "dc.pub", tmp_path / "limits.toml"
    script.write_text("pass\n")
    alone = measure(script)
    pin.write_bytes(b"key one")
    pinned = measure(script)
    extra.write_bytes(b"a = 1")
    assert len({alone, pinned, measure(script, [extra])}) == 3
    pin.write_bytes(b"key two")
    assert measure(script) != pinned
    names = [file.name for file in image_of(script).files]
    assert names[:2] == ["meter.py", "dc.pub"]
    assert "intaglio/enclave/__init__.py" in names
    assert "intaglio/wire/dcap.py" in names
    assert not [name for name in names if name.startswith(("intaglio/sim", "intaglio/gateway", "intaglio/host"))]


def test_everything_of_ours_that_an_enclave_loads_is_measured(tmp_path: Path) -> None:
    """A new process loads the SDK's runtime; every module of this package that came with it is in the image."""
    ours = "(m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'intaglio')"
    program = f"import sys, intaglio.enclave.runtime\nprint(*{ours})"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    (tmp_path / "meter.py").write_text("pass\n")
    measured = {file.name for file in image_of(tmp_path / "meter.py").files}
    package = Path(intaglio.__file__).parent
    names = {f"intaglio/{Path(path).relative_to(package).as_posix()}" for path in loaded}
    assert len(names) > 20
    assert names <= measured


def test_image_rule_does_not_depend_on_where_the_files_lie(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "meter.py").write_text("pass\n")
        (tmp_path / folder / "dc.pub").write_bytes(b"key")
    assert measure(tmp_path / "one" / "meter.py") == measure(tmp_path / "two" / "meter.py")
    given = measure(tmp_path / "one" / "meter.py", [tmp_path / "two" / "dc.pub"])
    assert given == measure(tmp_path / "one" / "meter.py")
