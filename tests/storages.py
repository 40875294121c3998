"""The table of storages: an adapter joins the contract and the guarantees by a line here."""

import atexit
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

from happened.identifiers import new_id
from happened.storage import open_storage
from tests.guide.services import required
from tools.doctor import Missing, find_postgres


def memory(folder: Path) -> str:
    return "memory://"


def sqlite(folder: Path) -> str:
    """What a process that dies loses is the same in either mode; this one is faster.

    Where tests are busy, a writer may have to wait for others longer than it does by default.
    """
    return f"sqlite:///{folder / new_id()}.db?synchronous=normal&timeout=30"


def postgres(folder: Path) -> str:
    """A schema of its own for each, with its tables; see `discard`."""
    schema = f"test_{new_id().replace('-', '_')}"
    address = _server()
    url = f"{address}{'&' if '?' in address else '?'}schema={schema}"
    storage = open_storage(url)
    _schemas.append(schema)
    storage.create()
    storage.close()
    return url


@cache
def _server() -> str:
    try:
        address = find_postgres()
    except Missing as missing:
        if required():
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    atexit.register(_drop_all)
    return address


_schemas: list[str] = []


def discard(url: str) -> None:
    """Drop what the storage at a URL has left on a server; what a folder holds goes with it."""
    found = re.search("[?&]schema=(test_[0-9a-f_]+)", url)
    if found and found[1] in _schemas:
        _drop(found[1])


def _drop_all() -> None:
    _drop(*_schemas)


def _drop(*schemas: str) -> None:
    """Drop schemas, and end connections of tests that failed and would keep them from that."""
    import psycopg  # noqa: PLC0415 - only where there is a server

    with psycopg.connect(_server(), autocommit=True) as connection:
        connection.execute("SET lock_timeout = '5s'")
        for schema in schemas:
            try:
                connection.execute(f"DROP SCHEMA {schema} CASCADE")
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_locks"
                    " JOIN pg_class ON pg_class.oid = relation"
                    " WHERE relnamespace = %s::regnamespace AND pid <> pg_backend_pid()",
                    (schema,),
                )
                connection.execute(f"DROP SCHEMA {schema} CASCADE")
            _schemas.remove(schema)


STORAGES: Sequence[Callable[[Path], str]] = [memory, sqlite, postgres]
"""Each returns the URL of an empty storage, which may lie in the folder."""
