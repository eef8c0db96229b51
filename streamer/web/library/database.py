"""The database of the library.

SQLite, unless another one is asked for.  What was committed to SQLite stays when the
program is killed and when the power goes; what was deleted is overwritten, in its log too.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from model.errors import UsageError
from streamer.web.library.errors import LibraryError
from streamer.web.library.tables import SCHEMA, AboutRow, Table
from streamer.web.private import make_private_file

BUSY_S = 10
"""Longest wait for another that uses SQLite's file, seconds."""

PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "secure_delete = ON",
    "temp_store = MEMORY",
    f"busy_timeout = {BUSY_S * 1000}",
)

_WRITING = "writing"


class Database:
    """The library's tables; may be used from any thread, by one that writes at a time.

    Args:
        engine: Of a database with the tables.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(**{_WRITING: True})
        self._turn = threading.RLock()

    @classmethod
    def open(cls, folder: Path, url: str = "") -> Database:
        """Open the database, and make its tables if it is new.

        Args:
            folder: Where SQLite's file is.
            url: Of another database; empty for SQLite in the folder.

        Raises:
            UsageError: If the URL is none, or its driver is missing.
            LibraryError: If the database cannot be used, or was made by a newer program.
        """
        where = _parsed(url) if url else URL.create("sqlite", database=str(folder / "library.db"))
        engine = _engine(where)
        try:
            with _explained():
                _check_schema(engine)
                Table.metadata.create_all(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session that reads one state of the database.

        Raises:
            LibraryError: If it cannot be read.
        """
        with _explained(), Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Give a session whose changes are committed, all or none, when the context ends.

        Raises:
            LibraryError: If they cannot be.
        """
        new_session = Session(self._writer, expire_on_commit=False)
        with self._turn, _explained(), new_session as session, session.begin():
            yield session

    def forget_deleted(self) -> None:
        """Leave nothing in SQLite's log of what was deleted.

        Raises:
            LibraryError: If the disk fails, or another program has been reading for long.
        """
        if self._engine.dialect.name != "sqlite":
            return
        with self._turn, _explained():
            busy = self._truncate_log()
        if busy:
            raise LibraryError(
                "what was deleted is still in the database's log, because another program "
                "reads it; end that program, and delete something or start this one again"
            )

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _truncate_log(self) -> bool:
        """Return whether the log is still in use, after a wait."""
        connection = self._engine.raw_connection()
        try:
            cursor = connection.cursor()
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            cursor.close()
        finally:
            connection.close()
        return bool(busy)


def _parsed(text: str) -> URL:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise UsageError(
            "web.database: is no URL of a database; give one such as "
            "postgresql+psycopg://user@host/name, or nothing for SQLite"
        ) from error
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise UsageError("web.database: names no file; give one, as in sqlite:////home/me/my.db")
    return url


def _engine(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    try:
        engine = create_engine(url, hide_parameters=True, pool_pre_ping=not sqlite)
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise UsageError(
            f"web.database: the driver of {url.drivername} is missing ({error}); "
            "install it, or leave web.database empty for SQLite"
        ) from error
    if sqlite:
        assert url.database is not None
        make_private_file(Path(url.database))
        event.listen(engine, "connect", _set_up)
        event.listen(engine, "begin", _begin)
    return engine


def _set_up(connection: object, record: object) -> None:
    """Prepare a connection to SQLite; transactions are begun by :func:`_begin` alone."""
    connection.isolation_level = None  # type: ignore[attr-defined]
    cursor = connection.cursor()  # type: ignore[attr-defined]
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    """Begin a transaction of SQLite; one that will write waits for its turn now."""
    writing = connection.get_execution_options().get(_WRITING)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _check_schema(engine: Engine) -> None:
    """Refuse a database whose tables this program does not know."""
    if not inspect(engine).has_table(AboutRow.__tablename__):
        return
    with engine.connect() as connection:
        found = connection.execute(text("SELECT schema FROM about")).scalar()
    if found is not None and found != SCHEMA:
        raise LibraryError(
            f"the library's tables have version {found}, this program knows version {SCHEMA}; "
            "use the program that made them, or another folder or database"
        )


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the database raises into an error for the user, which shows nobody's text."""
    try:
        yield
    except SQLAlchemyError as error:
        reason = error.orig if isinstance(error, DBAPIError) else type(error).__name__
        raise LibraryError(
            f"the library's database cannot be used ({reason}); see that its disk has room, "
            "and that it is a database of this program and nobody else's"
        ) from error
