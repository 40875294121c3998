"""What is done to PostgreSQL: connections of some processes ended, a cluster restarted."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.guarantees.accounts import connected
from tests.guarantees.processes import Process, eventually
from tests.guide.services import required

ENDED = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE client_port = ANY (%s) AND pid <> pg_backend_pid()"
)


CONNECTED = "SELECT FROM pg_stat_activity WHERE application_name = %s"


def is_connected(url: str, process: Process) -> bool:
    """Whether a process has connections to PostgreSQL, or had until it was killed just now."""
    with connected(url) as connection:
        return connection.execute(CONNECTED, (process.application,)).fetchone() is not None


def let_go(url: str, process: Process) -> None:
    """Return once a storage has noticed that a process was killed, which PostgreSQL does late.

    Until then it goes on with what it was told last, and others pass by what that has locked.
    """
    if url.startswith("postgresql"):
        eventually(lambda: not is_connected(url, process))


def ports_of(pid: int) -> list[int]:
    """The ports from which a process has connections."""
    inodes = set()
    with suppress(FileNotFoundError):  # it has ended, or closed one of them meanwhile
        for each in Path(f"/proc/{pid}/fd").iterdir():
            target = str(each.readlink())
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].partition(":")[2], 16) for row in rows if row[9] in inodes]


def terminate(url: str, *processes: Process) -> int:
    """Have PostgreSQL end all connections of processes; return how many."""
    ports = [port for each in processes if each.running for port in ports_of(each.pid)]
    with connected(url) as connection:
        ended: int = connection.execute(ENDED, (ports,)).fetchone()[0]
    return ended


class Cluster:
    """A PostgreSQL of its own in a folder, which may be restarted at any time."""

    def __init__(self) -> None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        initdb = shutil.which("initdb") or (str(found[-1]) if found else None)
        if initdb is None:
            reason = "needs initdb, to make a PostgreSQL that can be restarted: install postgresql"
            (pytest.fail if required() else pytest.skip)(reason)
        self._bin = Path(initdb).resolve().parent
        self._folder = Path(tempfile.mkdtemp(prefix="happened-cluster-"))
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        user = "postgres" if self._as else pwd.getpwuid(os.getuid()).pw_name
        if self._as:
            shutil.chown(self._folder, "postgres")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"postgresql://{user}@127.0.0.1:{port}/postgres"
        self._options = f"-p {port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        self._run("initdb", "-A", "trust", "-E", "UTF8", "--no-sync", "-D", str(self._data))
        self.start()

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        done: Any = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        log = str(self._folder / "log")
        self._run("pg_ctl", "-w", "-D", str(self._data), "-l", log, "-o", self._options, "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop it; ``immediate`` is as if the machine had failed."""
        self._run("pg_ctl", "-w", "-D", str(self._data), "-m", mode, "stop")

    def remove(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")
        shutil.rmtree(self._folder)
