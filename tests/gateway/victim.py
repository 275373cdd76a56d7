"""A gateway in a process of its own, for tests that kill it: `python -m tests.gateway.victim FOLDER LAB_NOW`.

FOLDER is what `World.make` wrote, with the lab's collateral in FOLDER/collateral. Prints its URL when it serves.
"""

import sys
from pathlib import Path

from intaglio.collateral.source import DirectorySource
from intaglio.gateway.config import Settings
from intaglio.gateway.keystore import KeyFile
from intaglio.gateway.server import serve
from intaglio.types import UnixTime


def settings_of(folder: Path) -> Settings:
    return Settings(
        folder=folder / "data",
        keystore=folder / "keystore",
        secret=KeyFile(folder / "keystore.key"),
        policy=folder / "policy.toml",
        collateral=(DirectorySource(folder / "collateral"),),
        port=0,
        lab_roots=(folder / "root.pem",),
    )


def main(folder: Path, now: UnixTime) -> None:
    def started(url: str) -> None:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()

    serve(settings_of(folder), clock=lambda: now, started=started)


if __name__ == "__main__":
    main(Path(sys.argv[1]), UnixTime(int(sys.argv[2])))
