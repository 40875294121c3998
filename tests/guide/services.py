"""The servers that a program may need, and whether they are there."""

import os
import socket
from urllib.parse import urlsplit

SERVICES = {
    "postgres": ("POSTGRES_URL", 5432),
    "nats": ("NATS_URL", 4222),
    "redis": ("REDIS_URL", 6379),
    "rabbitmq": ("RABBITMQ_URL", 5672),
}
"""Each service with the variable that holds its address, and its usual port."""


def absent(name: str) -> str | None:
    """Return one line that says why a service cannot be used, or None where it can."""
    if name not in SERVICES:
        return f"unknown service {name!r}; known are {', '.join(SERVICES)}"
    variable, port = SERVICES[name]
    if not os.environ.get(variable):
        return f"needs {name}: start it and set {variable}"
    address = urlsplit(os.environ[variable])
    try:
        socket.create_connection((address.hostname or "127.0.0.1", address.port or port), 1).close()
    except OSError as error:
        return f"needs {name}: nothing answers at {variable} ({error})"
    return None


def required() -> bool:
    """Tell whether an absent service is a failure."""
    return os.environ.get("REQUIRE_SERVICES") == "1"
