"""Where storages lie: one that is empty for each measurement, and gone after it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Identifier

MEMORY = "memory"
SQLITE_FULL = "sqlite, synchronous=full"
SQLITE_NORMAL = "sqlite, synchronous=normal"
POSTGRESQL = "postgresql"

SERVER = os.environ.get("POSTGRES_URL", "postgresql://postgres@127.0.0.1/test")


@contextmanager
def place(kind: str) -> Iterator[str]:
    """The URL of an empty storage, as Happened writes it; the peers read theirs from it."""
    if kind == MEMORY:
        yield "memory://"
    elif kind == POSTGRESQL:
        schema = f"bench_{uuid4().hex[:12]}"
        with psycopg.connect(SERVER, autocommit=True) as connection:
            connection.execute(SQL("CREATE SCHEMA {}").format(Identifier(schema)))
        try:
            yield f"{SERVER}{'&' if '?' in SERVER else '?'}schema={schema}"
        finally:
            with psycopg.connect(SERVER, autocommit=True) as connection:
                connection.execute(
                    "SET lock_timeout = '10s'"
                )  # a contender that failed may hold it
                connection.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(schema)))
    else:
        with TemporaryDirectory() as folder:
            yield f"sqlite:///{Path(folder, 'bench.db')}?{kind.partition(', ')[2]}"


def options(url: str) -> dict[str, str]:
    """What stands behind the question mark of a place's URL."""
    return dict(parse_qsl(urlsplit(url).query))


def connect(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection to a place on PostgreSQL, in its schema, that commits when told."""
    connection = psycopg.connect(SERVER)
    connection.execute(SQL("SET search_path TO {}").format(Identifier(options(url)["schema"])))
    connection.commit()
    return connection


@cache
def absent(kind: str) -> str | None:
    """Why nothing can be measured there, in a line; None if it can."""
    if kind == POSTGRESQL:
        try:
            psycopg.connect(SERVER, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            told = str(error).strip().splitlines()[-1]
            return f"no PostgreSQL: {told}; start it, or name another with POSTGRES_URL"
    return None


def described() -> Iterator[str]:
    """What the storages are, a line each."""
    yield f"SQLite {sqlite3.sqlite_version}, files in {gettempdir()}, WAL"
    if absent(POSTGRESQL):
        yield f"PostgreSQL: not measured, {absent(POSTGRESQL)}"
        return
    names = ("server_version", "synchronous_commit", "fsync", "shared_buffers")
    with psycopg.connect(SERVER) as connection:
        values = [connection.execute(f"SHOW {name}").fetchone() for name in names]  # type: ignore[arg-type]
    found = [str(value[0]) if value else "?" for value in values]
    settings = ", ".join(
        f"{name}={value}" for name, value in zip(names[1:], found[1:], strict=True)
    )
    yield f"PostgreSQL {found[0]}, {settings}; psycopg in its {psycopg.pq.__impl__} form"
