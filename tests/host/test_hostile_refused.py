"""The folder of refused frames under somebody who refuses everything."""

import os
from pathlib import Path

import pytest

from intaglio.host.shelf import RefusedFrames


def test_small_refused_frames_take_no_more_room_than_the_limit(tmp_path: Path) -> None:
    """On disk a file of a hundred bytes takes a block."""
    refused = RefusedFrames(tmp_path / "refused", 100 * 4096)
    for number in range(300):
        refused.keep(number.to_bytes(4, "big") * 25)
    assert len(refused.files()) <= 100
    assert (299).to_bytes(4, "big") * 25 in [path.read_bytes() for path in refused.files()]


def test_keeping_a_refused_frame_costs_the_same_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever refuses a backlog of small frames must not make the relay look at all of them for each."""
    refused = RefusedFrames(tmp_path / "refused", 1 << 24)
    stats = [0]
    stat = Path.stat

    def counting(self: Path, *arguments: object, **options: object) -> os.stat_result:
        stats[0] += 1
        return stat(self, *arguments, **options)  # type: ignore[arg-type]

    for number in range(100):
        refused.keep(number.to_bytes(4, "big"))
    monkeypatch.setattr(Path, "stat", counting)
    for number in range(100, 110):
        refused.keep(number.to_bytes(4, "big"))
    assert stats[0] < 100
