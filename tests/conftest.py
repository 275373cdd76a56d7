"""What all tests share: where the real evidence lies, and how a missing part is skipped, or fails under CI."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
VECTORS = Path(os.environ.get("INTAGLIO_VECTORS", ROOT.parent / "shared" / "vectors"))
"""Evidence from real hardware, kept beside the project and never copied into it."""

REQUIRE_ALL = os.environ.get("INTAGLIO_REQUIRE_ALL") == "1"


def missing(what: str) -> NoReturn:
    """Skips the test because `what` is not on this machine; fails it where nothing may be skipped."""
    if REQUIRE_ALL:
        pytest.fail(f"missing and required: {what}")
    pytest.skip(f"missing: {what}")


def vector_cases(kind: str) -> list[Path]:
    """The folders of real evidence of one kind (`sgx`, `tdx`, ...), sorted; empty where the vectors are absent."""
    folder = VECTORS / kind
    return sorted(p for p in folder.iterdir() if (p / "case.json").is_file()) if folder.is_dir() else []
