"""What a gateway is told before it starts. Nothing here reads a file or the environment: the command builds it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from intaglio.collateral.source import CollateralSource
from intaglio.errors import IntaglioError
from intaglio.wire.collateral_request import TcbUpdate

__all__ = ["DEFAULT_PORT", "Misconfigured", "Secret", "Settings"]

DEFAULT_PORT = 8080
HOUR, DAY = 3600, 86400

OFFER_LIFETIME = HOUR
"""Seconds from an offer's not-before to its last use. A thief of its key could then read epoch 0 of one hour's
sessions."""
SPOOL_WINDOW = 7 * DAY
"""Seconds for which a host may keep messages before it delivers them: a week-end and a repair."""
MAX_OFFERS = 1000
"""Offers whose keys are kept at once, two for each lifetime in the spool window: the keystore is rewritten whole."""
EPOCH0_LIMIT = 1000
"""Frames that an enclave may send before it hears an Accept."""
QUARANTINE_BYTES = 64 << 20
"""Room for the evidence of attacks: 500 of the largest hellos, a hundred thousand frames' heads."""
HELLO_WORKERS = 4
"""Threads that verify evidence. ECDSA and the KEM release the GIL."""


class Misconfigured(IntaglioError):
    """What the operator set is wrong, and nothing was started: says what, and what would be right."""


class Secret(Protocol):
    """What a keystore is encrypted with: `keystore.Passphrase` or `keystore.KeyFile`."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`folder` holds the database, the API token and the lock; it is made (mode 0700) if it is missing.

    `secret` opens the keystore file. `policy`: the TOML file. `collateral`: asked in this order, the first that
    has an answer counts; `tcb_update` says which of Intel's TCB levels. `lab_roots`: PEM files of simulators' roots;
    given any, every verdict, session and record is marked as simulated. `sigma_key`: the service provider's key, opened
    by the same secret; without one no Sigma endpoint is served. Times are seconds. `epoch0_limit` None lets
    enclaves send without ever hearing back.
    """

    folder: Path
    keystore: Path
    secret: Secret = field(repr=False)
    policy: Path
    collateral: tuple[CollateralSource, ...] = ()
    tcb_update: TcbUpdate = TcbUpdate.STANDARD
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    offer_lifetime: int = OFFER_LIFETIME
    spool_window: int = SPOOL_WINDOW
    epoch0_limit: int | None = EPOCH0_LIMIT
    lab_roots: tuple[Path, ...] = ()
    sigma_key: Path | None = None
    quarantine_bytes: int = QUARANTINE_BYTES
    hello_workers: int = HELLO_WORKERS

    def __post_init__(self) -> None:
        if self.offer_lifetime < 2 or self.spool_window < 0:
            raise Misconfigured("offer lifetime: need at least 2 seconds, and a spool window of 0 or more")
        if 2 * (self.offer_lifetime + self.spool_window) > MAX_OFFERS * self.offer_lifetime:
            raise Misconfigured(
                f"offer lifetime: too short for this spool window, over {MAX_OFFERS} keys would be kept"
            )
        if self.quarantine_bytes < 1 << 20:
            raise Misconfigured("quarantine: need room for at least 1 MiB")
        if self.hello_workers < 1:
            raise Misconfigured("hello workers: need at least one")

    @property
    def database(self) -> Path:
        return self.folder / "gateway.db"

    @property
    def token_file(self) -> Path:
        """The API's bearer token, written once at first start, mode 0600."""
        return self.folder / "api.token"

    @property
    def lab(self) -> bool:
        return bool(self.lab_roots)
