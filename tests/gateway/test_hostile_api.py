"""Readers of the API who ask for what is not there."""

import logging

import pytest

from tests.gateway.world import Dc


def test_ids_that_no_row_has_are_no_error_of_ours(dc: Dc, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("records", "sessions", "quarantine"):
        assert dc.api(f"{path}?after={2**63 - 1}").status == 200
        assert dc.api(f"{path}?after={2**63}").status == 422
        assert dc.api(f"{path}?limit={10**30}").status == 422
    for path in ("records?name=%00%ff%27%3B--", "quarantine?reason=%22%3Cscript%3E", "quarantine/%00", "sessions/+"):
        assert dc.api(path).status in (200, 404)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
