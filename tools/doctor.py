"""Find what a machine lacks, and say in one line what is missing and what to do.

Example:
    python -m tools.doctor port 8000
    python -m tools.doctor chromium
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping

OLDEST_NODE = 18

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


def explain(action: str, output: str) -> str:
    """One line for a package client that failed, made from what it printed."""
    if NO_NETWORK.search(output):
        return f"{action} failed: there is no network; check the connection, then run make again"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return f"{action} failed: {lines[-1] if lines else 'it printed nothing'}"


def main(check: str, *arguments: str) -> None:
    """Run one check; where it fails, say why in one line and exit with 1."""
    try:
        if check == "port":
            check_port(*arguments)
        elif check == "chromium":
            find_chromium()
        else:
            raise Missing(f"doctor knows no check named {check}: there are port and chromium")
    except Missing as missing:
        if check == "chromium" and os.environ.get("REQUIRE_SERVICES") != "1":
            print(f"Without browser tests: {missing}", file=sys.stderr)
            return
        sys.exit(str(missing))


if __name__ == "__main__":
    main(*sys.argv[1:])
