"""Find what a machine lacks, and say in one line what is missing and what to do.

Example:
    python -m tools.doctor port 8000
    python -m tools.doctor chromium
    python -m tools.doctor postgres
"""

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

OLDEST_NODE = 18
POSTGRES = "postgresql://postgres@127.0.0.1:5432/test"
"""Where PostgreSQL is looked for, unless POSTGRES_URL names another place."""

PATIENCE = 15
"""Seconds that a busy machine may take to let somebody in."""

NO_NETWORK = re.compile(
    r"NewConnectionError|ConnectTimeout|ReadTimeout|NameResolutionError|ProxyError"  # pip
    r"|dns error|error sending request|client error \(Connect\)|operation timed out"  # uv
    r"|ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|ETIMEDOUT"  # npm
)


class Missing(Exception):
    """Something that a command needs is not there; the text says what, and what to do."""


def check_port(text: str) -> None:
    """Pass if a server may listen on this port of 127.0.0.1.

    Raises:
        Missing: the text is no port, or the port is taken or reserved.
    """
    port = int(text) if text.isdecimal() else 0
    if not 1 <= port <= 65535:
        raise Missing(f"PORT={text} is not a port: give a number from 1 to 65535")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            raise Missing(
                f"port {port} is reserved for the administrator: choose one from 1024 on, "
                "as in `make serve PORT=8000`"
            ) from None
        except OSError:
            raise Missing(
                f"port {port} of 127.0.0.1 is taken by another program: stop that one, "
                f"or choose another port, as in `make serve PORT={port % 65535 + 1}`"
            ) from None


def find_chromium(environment: Mapping[str, str] = os.environ) -> str:
    """The path of the Chromium that the browser tests open the guide in.

    Raises:
        Missing: there is none on the PATH, and none named by CHROMIUM.
    """
    if named := environment.get("CHROMIUM"):
        if path := shutil.which(named):
            return path
        raise Missing(f"CHROMIUM={named} is not a program: give the path of a Chromium")
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name, path=environment.get("PATH")):
            return path
    raise Missing(
        "Chromium, which the browser tests need, was not found: install it (on Debian: "
        "`apt-get install chromium`), or set CHROMIUM to the path of one"
    )


def find_node(environment: Mapping[str, str] = os.environ) -> str:
    """The path of a Node that is new enough and comes with npm.

    Raises:
        Missing: there is none on the PATH.
    """
    node = shutil.which("node", path=environment.get("PATH"))
    if node is None:
        raise Missing("no Node was found")
    if shutil.which("npm", path=environment.get("PATH")) is None:
        raise Missing(f"{node} was found, but no npm beside it")
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    version = answer.stdout.strip().removeprefix("v")
    if not version or int(version.split(".")[0]) < OLDEST_NODE:
        raise Missing(f"{node} is Node {version or 'of no version'}, older than {OLDEST_NODE}")
    return node


def find_postgres(environment: Mapping[str, str] = os.environ) -> str:
    """The URL of the database that tests and programs use.

    Raises:
        Missing: no PostgreSQL answers there, or it does not let us in.
    """
    url = environment.get("POSTGRES_URL") or POSTGRES
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 5432
    user, database = unquote(parts.username or "postgres"), unquote(parts.path[1:] or "test")
    try:
        refusal = log_in(host, port, user, database, password=parts.password is not None)
    except OSError as error:
        refusal = str(error)
    if refusal:
        raise Missing(
            f"PostgreSQL, which some tests and programs need, cannot be used at {host}:{port} "
            f"({refusal}): start it (on Debian: `apt-get install postgresql`, "
            "`service postgresql start`), or set POSTGRES_URL to a database that can be written, "
            "as in postgresql://USER@HOST:PORT/DATABASE"
        )
    return url


def log_in(host: str, port: int, user: str, database: str, *, password: bool) -> str | None:
    """Why PostgreSQL does not let a user in; None where it does, or takes the password later.

    Source: the PostgreSQL manual, "Frontend/Backend Protocol", start-up.
    """
    words = ["user", user, "database", database, ""]
    body = struct.pack("!I", 196608) + b"".join(word.encode() + b"\0" for word in words)
    with (
        socket.create_connection((host, port), PATIENCE) as server,
        server.makefile("rb") as answers,
    ):
        server.sendall(struct.pack("!I", len(body) + 4) + body)
        while kind := answers.read(1):
            length = struct.unpack("!I", answers.read(4).rjust(4, b"\0"))[0]
            text = answers.read(max(length - 4, 0))
            if kind == b"E":
                said = {field[:1]: field[1:].decode() for field in text.split(b"\0")}
                return said.get(b"M", "it refused")
            if kind == b"R" and text != bytes(4):
                return None if password else f"it wants a password of {user}"
            if kind == b"Z":
                return None
            if kind not in b"RSKN":
                break
    return "what answers there is no PostgreSQL"


def explain(action: str, output: str) -> str:
    """One line for a package client that failed, made from what it printed."""
    if NO_NETWORK.search(output):
        return f"{action} failed: there is no network; check the connection, then run make again"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{action} failed: {lines[-1] if lines else 'it printed nothing'}"


def main(check: str, *arguments: str) -> None:
    """Run one check; where it fails, say why in one line and exit with 1.

    What only a part of the tests needs may be absent, unless REQUIRE_SERVICES is 1.
    """
    left_out = {"chromium": "browser tests", "postgres": "tests on PostgreSQL"}
    try:
        if check == "port":
            check_port(*arguments)
        elif check == "chromium":
            find_chromium()
        elif check == "postgres":
            find_postgres()
        else:
            raise Missing(
                f"doctor knows no check named {check}: there are port, chromium and postgres"
            )
    except Missing as missing:
        if check in left_out and os.environ.get("REQUIRE_SERVICES") != "1":
            print(f"Without {left_out[check]}: {missing}", file=sys.stderr)
            return
        sys.exit(str(missing))


if __name__ == "__main__":
    main(*sys.argv[1:])
