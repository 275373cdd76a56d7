"""A data centre on the stage: a real gateway on a loopback port, and what its store says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from intaglio.cli.demo.model import DemoFailed
from intaglio.collateral.cache import CachedSource
from intaglio.collateral.pcs import PcsClient
from intaglio.enclave.values import decode
from intaglio.gateway.config import Settings
from intaglio.gateway.keystore import KeyFile, Keystore
from intaglio.gateway.query import QuarantineEntry, Reader, StoredRecord, StoredSession
from intaglio.gateway.server import running
from intaglio.types import SessionId
from intaglio.wire.identity import Pin, Suite

__all__ = ["Centre", "Identity", "make_identity", "open_centre"]


@dataclass(frozen=True, slots=True)
class Identity:
    """A keystore, the file that opens it, and what enclaves pin."""

    keystore: Path
    key_file: KeyFile
    pin: Pin


def make_identity(folder: Path, audience: str) -> Identity:
    """What `intaglio keygen` makes."""
    folder.mkdir()
    key_file = KeyFile.create(folder / "secret")
    keystore = folder / "dc.key"
    return Identity(keystore, key_file, Keystore.create(keystore, audience, Suite.ED25519, key_file))


@dataclass(frozen=True, slots=True)
class Centre:
    """A gateway that is running, seen by its operator."""

    url: str
    identity: Identity
    settings: Settings

    def entry(self, name: str | None) -> QuarantineEntry:
        """A quarantine entry by its name. Raises `DemoFailed` if there is none."""
        with Reader(self.settings.database) as reader:
            found = None if name is None else reader.quarantine_entry(name)
        if found is None:
            raise DemoFailed("the refusal is not in the data centre's quarantine")
        return found

    def entries(self) -> list[QuarantineEntry]:
        with Reader(self.settings.database) as reader:
            return reader.quarantine(limit=1000)

    def records(self, session: SessionId | None = None) -> list[StoredRecord]:
        with Reader(self.settings.database) as reader:
            return reader.records(limit=1000, session=session)

    def session(self, session: SessionId) -> StoredSession:
        """Raises `DemoFailed` for a session that is not in the store."""
        with Reader(self.settings.database) as reader:
            found = reader.session(session)
        if found is None:
            raise DemoFailed("the session is not in the data centre's store")
        return found

    def sessions(self) -> list[SessionId]:
        with Reader(self.settings.database) as reader:
            return [each.session for each in reader.sessions(limit=1000)]

    def gaps(self, session: SessionId) -> list[tuple[int, int]]:
        with Reader(self.settings.database) as reader:
            return reader.gaps(session)

    def replays(self, session: SessionId) -> int:
        """How many the data centre has counted under the reason REPLAY."""
        with Reader(self.settings.database) as reader:
            return sum(t.count for t in reader.tallies() if t.reason == "REPLAY" and t.session == session)

    def values(self, session: SessionId, name: str) -> list[object]:
        """The values of this name, in the order in which the enclave made them."""
        found = [record for record in self.records(session) if record.name == name]
        found.sort(key=lambda record: (record.sequence, record.position))
        return [decode(record.value, name) for record in found]


@contextmanager
def open_centre(
    folder: Path, identity: Identity, policy: Path, pcs_url: str, lab_root: Path | None
) -> Iterator[Centre]:
    """A gateway on a free loopback port, with its own store; `lab_root` None: as in production."""
    settings = Settings(
        folder=folder,
        keystore=identity.keystore,
        secret=identity.key_file,
        policy=policy,
        collateral=(CachedSource((PcsClient(pcs_url),), folder / "collateral"),),
        port=0,
        lab_roots=() if lab_root is None else (lab_root,),
    )
    with running(settings) as url:
        yield Centre(url, identity, settings)
