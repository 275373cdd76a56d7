"""A service that forgets a revocation, and a disk without room for what was fetched."""

from dataclasses import replace
from pathlib import Path

import pytest

from intaglio.collateral import folder
from intaglio.sim.pki import DAY
from intaglio.sim.world import DEFAULT_FMSPC
from intaglio.types import UnixTime
from intaglio.wire.collateral import DcapCollateral
from tests.collateral.conftest import NOON, REQUEST
from tests.collateral.test_cache import Kit, kit, refresh_time

__all__ = ["kit"]


def test_without_room_on_disk_collateral_still_serves_this_process(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "replace_private", full)
    first = kit.get()
    assert kit.get() is first
    assert kit.service.fetches == 1
    assert "No space left" in caplog.text


def test_forged_collateral_that_can_not_be_deleted_is_forgotten_all_the_same(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kit.get()

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    kit.source.forget(REQUEST)
    assert "Read-only" in caplog.text


@pytest.mark.parametrize("what", ["root_ca_crl", "pck_crl"])
def test_an_older_crl_beside_current_documents_is_a_rollback(kit: Kit, what: str) -> None:
    """It is genuine and within its dates, and does not name whom a newer one revoked."""
    honest = kit.service.collateral
    first = kit.get()
    kit.service.now = UnixTime(NOON - 5 * DAY)
    stale = honest(DEFAULT_FMSPC, "platform")
    kit.service.now = UnixTime(NOON + 20 * DAY)

    def mixed(fmspc: str, ca: str) -> DcapCollateral:
        return replace(honest(fmspc, ca), **{what: getattr(stale, what)})

    kit.service.collateral = mixed  # type: ignore[method-assign]
    assert kit.get(refresh_time(first)) is first
    assert [rollback.what for rollback in kit.rollbacks] == [what]
