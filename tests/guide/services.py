"""The servers that programs and sessions may need: whether they are there, and a place in each."""

import importlib
import os
import re
import secrets
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from tools.doctor import Missing, find_postgres

SERVICES = {
    "postgres": ("POSTGRES_URL", 5432),
    "nats": ("NATS_URL", 4222),
    "redis": ("REDIS_URL", 6379),
    "rabbitmq": ("RABBITMQ_URL", 5672),
}
"""Each service with the variable that holds its address, and its usual port."""

FLAG = re.compile(r"^# (needs|raises): (\w+)$")

VARIABLES = {variable: name for name, (variable, _) in SERVICES.items()}
"""Each service by its variable: code that needs none of them sees none of these."""

THROW_OUT = """
SELECT pg_terminate_backend(pid)
FROM pg_locks LEFT JOIN pg_class ON pg_class.oid = relation
WHERE pid <> pg_backend_pid() AND (
    relnamespace = %(schema)s::regnamespace
    OR classid = 'pg_namespace'::regclass AND objid = %(schema)s::regnamespace)
"""
"""Ends the connections that hold a lock on a schema or on something in it."""


def flags(source: str) -> dict[str, str]:
    """Return what a program's first comment lines say: ``needs`` and ``raises``."""
    found = {}
    for line in source.splitlines():
        if not line.startswith("#"):
            break
        if flag := FLAG.match(line):
            found[flag[1]] = flag[2]
    return found


def needs(path: Path) -> list[str]:
    """Return the services that a program needs."""
    found = flags(path.read_text(encoding="utf-8"))
    return [found["needs"]] if "needs" in found else []


def address(name: str, environment: Mapping[str, str]) -> str:
    """Return the address of a service, as an environment says it.

    Raises:
        Missing: there is no such service, or it cannot be used; the text is one line.
    """
    if name not in SERVICES:
        raise Missing(f"unknown service {name!r}; known are {', '.join(SERVICES)}")
    if name == "postgres":
        return find_postgres(environment)
    variable, port = SERVICES[name]
    url = environment.get(variable)
    if not url:
        raise Missing(f"start it and set {variable}")
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "127.0.0.1", parts.port or port), 1).close()
    except OSError as error:
        raise Missing(f"nothing answers at {variable} ({error})") from None
    return url


def absent(names: Iterable[str], environment: Mapping[str, str] = os.environ) -> str | None:
    """Return one line that says why services cannot be used, or None where all can."""
    for name in names:
        try:
            address(name, environment)
        except Missing as missing:
            return f"needs {name}: {missing}"
    return None


def required() -> bool:
    """Tell whether an absent service is a failure."""
    return os.environ.get("REQUIRE_SERVICES") == "1"


@contextmanager
def places(
    names: Iterable[str], stem: str, environment: Mapping[str, str] = os.environ
) -> Iterator[dict[str, str]]:
    """Give the variables by which code reaches services, each with a place of its own there.

    Args:
        names: The services; they must be there.
        stem: A word by which somebody who looks into the service recognises the place.
        environment: Where the addresses of the services stand.
    """
    with ExitStack() as stack:
        yield {
            SERVICES[name][0]: stack.enter_context(schema(stem, environment))
            if name == "postgres"
            else address(name, environment)
            for name in names
        }


@contextmanager
def schema(stem: str, environment: Mapping[str, str]) -> Iterator[str]:
    """Give the URL of a new schema of PostgreSQL, and drop it afterwards, whatever happened.

    Who still holds a lock on it then is thrown out: a program that failed may never let go.
    """
    psycopg = importlib.import_module("psycopg")
    parts = urlsplit(find_postgres(environment))
    options = [(key, value) for key, value in parse_qsl(parts.query) if key != "schema"]
    plain = urlunsplit(parts._replace(query=urlencode(options)))
    name = f"guide_{re.sub('[^a-z0-9]+', '_', stem.lower())[:40]}_{secrets.token_hex(4)}"
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
    try:
        yield urlunsplit(parts._replace(query=urlencode([*options, ("schema", name)])))
    finally:
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute("SET lock_timeout = '20s'")
            connection.execute(THROW_OUT, {"schema": name})
            connection.execute(f"DROP SCHEMA {name} CASCADE")
