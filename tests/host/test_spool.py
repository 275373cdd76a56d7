"""A spool loses nothing that it took: not under kill -9, not by a cut at any byte, and damage is named, not skipped."""

import os
import signal
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intaglio.errors import Malformed
from intaglio.host.errors import SpoolDamaged, SpoolFull, SpoolInUse
from intaglio.host.spool import HEAD, MAX_PAYLOAD, Spool

LIMIT = 1024 * 1024

WRITER = """
import sys
from pathlib import Path
from intaglio.host.spool import Spool
with Spool(Path(sys.argv[1]), limit_bytes=1 << 30, segment_bytes=4096) as spool:
    number = int(sys.argv[2])
    while True:
        spool.append([b"%d:" % number + b"x" * (number % 97), b"second of %d" % number])
        print(number, flush=True)
        number += 1
"""


def opened(folder: Path, *, limit: int = LIMIT, segment: int = 4096) -> Spool:
    return Spool(folder, limit_bytes=limit, segment_bytes=segment)


def payloads(spool: Spool) -> list[bytes]:
    return [entry.payload for entry in spool.entries()]


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.log"))


def test_entries_come_back_in_order_after_reopening(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append([b"one", b"two"])
        spool.append([b"three"])
        assert payloads(spool) == [b"one", b"two", b"three"]
    with opened(tmp_path) as spool:
        assert payloads(spool) == [b"one", b"two", b"three"]
        assert (spool.pending, spool.damaged) == (3, 0)


def test_what_is_acknowledged_does_not_come_back(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append([b"one", b"two", b"three"])
        first, second, _ = spool.entries()
        spool.acknowledge(second.end, 2)
        assert payloads(spool) == [b"three"]
        assert first.end == second.position
    with opened(tmp_path) as spool:
        assert payloads(spool) == [b"three"]
        assert spool.pending == 1


def test_segments_roll_and_are_deleted_when_delivered(tmp_path: Path) -> None:
    with opened(tmp_path, segment=64) as spool:
        for number in range(20):
            spool.append([b"entry %d" % number])
        assert len(logs(tmp_path)) > 5
        assert payloads(spool) == [b"entry %d" % number for number in range(20)]
        spool.acknowledge(spool.end, 20)
        assert len(logs(tmp_path)) == 1
        spool.append([b"after"])
    with opened(tmp_path, segment=64) as spool:
        assert payloads(spool) == [b"after"]


def test_a_full_spool_takes_all_of_a_message_or_nothing(tmp_path: Path) -> None:
    with opened(tmp_path, limit=3 * (HEAD + 10)) as spool:
        spool.append([bytes(10), bytes(10)])
        with pytest.raises(SpoolFull):
            spool.append([bytes(10), bytes(10)])
        assert (spool.pending, spool.full) == (2, False)
        spool.append([bytes(10)])
        assert (spool.pending, spool.full) == (3, True)
        spool.append([b"made already"], beyond_limit=True)
        assert spool.pending == 4
        spool.acknowledge(next(spool.entries()).end, 1)
        with pytest.raises(SpoolFull):
            spool.append([bytes(10)])


def test_sizes_that_no_message_has_are_refused(tmp_path: Path) -> None:
    with opened(tmp_path, limit=1 << 30) as spool:
        for data in (b"", bytes(MAX_PAYLOAD + 1)):
            with pytest.raises(Malformed, match="message"):
                spool.append([b"good", data])
        assert spool.pending == 0


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(SpoolInUse):
        opened(tmp_path)
    opened(tmp_path).close()


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    with opened(folder) as spool:
        spool.append([b"one"])
        spool.acknowledge(spool.end, 1)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


def test_a_cut_at_every_byte_loses_only_what_was_cut(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        ends = [spool.append([b"entry %d" % number]) for number in range(4)]
    (log,) = logs(tmp_path)
    whole = log.read_bytes()
    assert ends[-1] == len(whole)
    for cut in range(len(whole) + 1):
        log.write_bytes(whole[:cut])
        with opened(tmp_path) as spool:
            complete = sum(end <= cut for end in ends)
            assert payloads(spool) == [b"entry %d" % number for number in range(complete)]
            assert (spool.pending, spool.damaged) == (complete, 0)
            spool.append([b"next"])
            assert payloads(spool)[-1] == b"next"


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_changed_byte_anywhere_costs_one_entry_and_is_reported(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    entries = data.draw(st.lists(st.binary(min_size=1, max_size=40), min_size=2, max_size=6))
    with opened(folder) as spool:
        ends = [spool.append([entry]) for entry in entries]
    (log,) = logs(folder)
    whole = bytearray(log.read_bytes())
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    log.write_bytes(whole)
    hit = next(index for index, end in enumerate(ends) if at < end)
    with opened(folder) as spool:
        assert payloads(spool) == entries[:hit] + entries[hit + 1 :]
        assert (spool.pending, spool.damaged) == (len(entries) - 1, 1)
        spool.append([b"next"])
        assert payloads(spool)[-1] == b"next"
        start = ends[hit - 1] if hit else 0
        (aside,) = (folder / "damaged").iterdir()
        assert aside.read_bytes() == whole[start : ends[hit]]
        spool.acknowledge(spool.end, spool.pending)
        assert payloads(spool) == []


def test_garbage_between_segments_and_missing_bytes_are_reported(tmp_path: Path) -> None:
    with opened(tmp_path, segment=60) as spool:
        for number in range(9):
            spool.append([b"entry %d" % number])
    first, second, *_ = logs(tmp_path)
    os.truncate(first, first.stat().st_size - 3)
    with opened(tmp_path, segment=60) as spool:
        left = payloads(spool)
        assert spool.damaged == 2
        assert left[-1] == b"entry 8"
        assert len(left) == spool.pending == 8
    second.unlink()
    with opened(tmp_path, segment=60) as spool:
        assert payloads(spool)[-1] == b"entry 8"
        assert spool.pending == len(payloads(spool)) < 8


def test_a_segment_that_is_too_long_is_left_for_a_person(tmp_path: Path) -> None:
    with opened(tmp_path, segment=60) as spool:
        for number in range(9):
            spool.append([b"entry %d" % number])
    first = logs(tmp_path)[0]
    first.write_bytes(first.read_bytes() * 2)
    with pytest.raises(SpoolDamaged, match="next segment"):
        opened(tmp_path)
    (tmp_path / "mine.log").touch()
    with pytest.raises(SpoolDamaged, match="not a segment"):
        opened(tmp_path)


@pytest.mark.parametrize("text", [b"", b"twelve", b"-1", b"9" * 40, b"\xb2"])
def test_a_damaged_acknowledgement_delivers_again(tmp_path: Path, text: bytes) -> None:
    with opened(tmp_path) as spool:
        spool.append([b"one", b"two"])
        spool.acknowledge(next(spool.entries()).end, 1)
    (tmp_path / "acknowledged").write_bytes(text)
    with opened(tmp_path) as spool:
        assert payloads(spool) == [b"one", b"two"]


def test_an_acknowledgement_beyond_the_end_goes_on_there(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append([b"one"])
    (tmp_path / "acknowledged").write_bytes(b"5000\n")
    with opened(tmp_path) as spool:
        assert (payloads(spool), spool.end) == ([], 5000)
        spool.append([b"two"])
    with opened(tmp_path) as spool:
        assert payloads(spool) == [b"two"]


def test_an_entry_changed_under_a_running_spool_is_not_delivered(tmp_path: Path) -> None:
    with opened(tmp_path) as spool:
        spool.append([b"one"])
        (log,) = logs(tmp_path)
        log.write_bytes(log.read_bytes()[:-1] + b"!")
        with pytest.raises(SpoolDamaged, match="changed while in use"):
            payloads(spool)


def test_a_payload_that_looks_like_an_entry_is_none(tmp_path: Path) -> None:
    head = b"ISPL" + (3).to_bytes(4, "big") + zlib.crc32(b"bad").to_bytes(4, "big")
    inner = head + zlib.crc32(head).to_bytes(4, "big") + b"bad"
    with opened(tmp_path) as spool:
        spool.append([inner])
        spool.append([b"two"])
        assert payloads(spool) == [inner, b"two"]


def test_a_failing_disk_leaves_no_half_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(handle: int) -> None:
        raise OSError("input/output error")

    with opened(tmp_path) as spool:
        spool.append([b"one"])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", broken)
            with pytest.raises(OSError, match="input/output"):
                spool.append([b"two"])
        spool.append([b"three"])
        assert payloads(spool) == [b"one", b"three"]


@pytest.mark.parametrize("acknowledgements", [1, 2, 7, 60])
def test_kill_minus_nine_loses_nothing_that_was_taken(tmp_path: Path, acknowledgements: int) -> None:
    """The writer says each number after `append` returned; all that it said must be there, in pairs and in order."""
    said = -1
    for _ in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(said + 1)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        with writer.stdout as lines:
            for _ in range(acknowledgements):
                said = int(lines.readline())
            writer.send_signal(signal.SIGKILL)
            said = max([said, *(int(line) for line in lines if line.endswith("\n"))])
        writer.wait()
        with opened(tmp_path, limit=1 << 30) as spool:
            found = payloads(spool)
            assert spool.damaged == 0
        numbers = [int(entry.split(b":")[0]) for entry in found if b":" in entry]
        assert numbers[: said + 1] == list(range(said + 1))
        assert numbers == list(range(len(numbers)))
        assert found.count(b"second of %d" % said) == 1
        said = len(numbers) - 1
