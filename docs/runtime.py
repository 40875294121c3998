"""Puts into the site what runs programs in a page: Python, the library, and the front end."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from mkdocs.exceptions import Abort, PluginError

PYODIDE = (
    "pyodide.mjs",
    "pyodide.asm.mjs",
    "pyodide.asm.wasm",
    "python_stdlib.zip",
    "pyodide-lock.json",
)
WHEELS = Path(sys.prefix) / "wheels"  # tools/environment.py brings them
VERSION = "__VERSION__"  # stands in the service worker for the version


def missing(modules: Path) -> list[Path]:
    """What `make setup` should have brought, and did not."""
    wanted = [
        *(modules / "pyodide" / name for name in PYODIDE),
        modules / "esbuild",
        WHEELS / "ready",
    ]
    return [path for path in wanted if not path.exists()]


def write_runtime(root: Path, site: Path) -> None:
    """Write everything below assets/run, and the service worker that keeps it."""
    folder = site / "assets/run"
    python = folder / "python"
    pyodide, wheels = python / "pyodide", python / "wheels"
    for new in (pyodide, wheels):
        new.mkdir(parents=True)
    for name in PYODIDE:
        shutil.copyfile(root / "node_modules/pyodide" / name, pyodide / name)
    for wheel in WHEELS.glob("*.whl"):
        shutil.copyfile(wheel, wheels / wheel.name)
    hatch = (sys.executable, "-m", "hatchling", "build", "--target", "wheel")
    run("the library's wheel", root, *hatch, "--directory", wheels)
    add_bytecode(root, python)
    python.rename(folder / f"python-{digest_of(python)}")  # no browser mixes two releases of it
    run("the front end", root, node(), "frontend/build.mjs", "--out", folder)
    worker = (folder / "sw.js").read_text(encoding="utf-8")
    (folder / "sw.js").unlink()
    described = describe(folder)
    (folder / "runtime.json").write_text(json.dumps(described), encoding="utf-8")
    (site / "sw.js").write_text(worker.replace(VERSION, described["version"]), encoding="utf-8")


def add_bytecode(root: Path, folder: Path) -> None:
    """Add what Python makes of the modules that a run imports; kept, as it takes some seconds."""
    made = [folder / "pyodide/python_stdlib.zip", folder / "bytecode.zip"]
    maker = root / "frontend/bytecode.mjs"
    sources = [maker, maker.with_suffix(".py"), root / "frontend/src/runtime.py"]
    digest = hashlib.sha256()
    for path in [*sources, folder / "pyodide/pyodide.asm.wasm", *sorted(folder.glob("wheels/*"))]:
        digest.update(path.name.encode() + path.read_bytes())
    kept = root / "node_modules/.bytecode" / digest.hexdigest()[:16]
    if kept.exists():
        for path in made:
            shutil.copyfile(kept / path.name, path)
        return
    run("the bytecode", root, node(), maker, folder)
    kept.parent.mkdir(exist_ok=True)
    for older in kept.parent.iterdir():
        shutil.rmtree(older, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=root / "node_modules") as name:
        new = Path(name) / "bytecode"
        new.mkdir()
        for path in made:
            shutil.copyfile(path, new / path.name)
        with suppress(OSError):  # another build was faster
            new.rename(kept)


def describe(folder: Path) -> dict[str, Any]:
    """Return what the page must know of the files, as `Runtime` in frontend/src/protocol.ts.

    The bytes are those of what a first run fetches, as they lie here and not compressed; scripts
    are not among them, since nothing tells how far a browser has loaded one.
    """
    files = files_in(folder)
    fetched = [path for path in files if path.suffix in (".wasm", ".zip", ".json", ".whl")]
    return {
        "version": digest_of(folder),
        "python": next(path.name for path in folder.glob("python-*")),
        "wheels": [path.name for path in files if path.suffix == ".whl"],
        "files": [path.relative_to(folder).as_posix() for path in files if path.suffix != ".map"],
        "bytes": sum(path.stat().st_size for path in fetched),
    }


def files_in(folder: Path) -> list[Path]:
    """Return every file below a folder, in an order that is always the same."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest_of(folder: Path) -> str:
    """Return a name for what a folder holds, names included."""
    digest = hashlib.sha256()
    for path in files_in(folder):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def node() -> str:
    """Return the path of Node: the environment's own, where `make setup` had to bring one."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which("node", path=path)
    if found is None:
        raise Abort("Node, which builds the front end, is missing: run `make setup`")
    return found


def run(what: str, root: Path, *command: str | Path) -> None:
    """Run what builds a part.

    Raises:
        PluginError: it failed; the text is all that it said.
    """
    done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise PluginError(f"{what} was not built:\n{done.stdout}{done.stderr}")
