"""Brings a database to the newest schema when a gateway starts, and refuses one that a newer version made."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from intaglio.gateway.config import Misconfigured

__all__ = ["migrate"]

_MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(path: Path) -> None:
    """Makes or upgrades the database at `path`. Raises `Misconfigured` for one of a newer schema, or for a file that
    is no database."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    # A new file is made private before SQLite opens it; SQLite gives its -wal and -shm the same mode.
    path.touch(mode=0o600, exist_ok=True)
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    # The driver would commit before DDL; with its own transactions off, SQLAlchemy's BEGIN makes a migration atomic.
    event.listen(engine, "connect", lambda dbapi, _: setattr(dbapi, "isolation_level", None))
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            if current is not None and current not in known:
                raise Misconfigured(f"{path}: schema {current} is newer than this version of intaglio knows")
            connection.rollback()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except DatabaseError as error:
        raise Misconfigured(f"{path}: {error.orig}") from error
    finally:
        engine.dispose()
