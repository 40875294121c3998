"""Writes the bytecode of the modules that a first run imports; bytecode.mjs calls it in Pyodide."""

import importlib
import site
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from marshal import dumps
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

IMPORTED = (
    "happened.adapters.memory",
    "happened.adapters.sqlite",
    "happened.server",
    "happened_in_page",
)
UNCHECKED = (1).to_bytes(4, "little")  # PEP 552: taken without a look at the source


def compiled(source: bytes, path: str) -> bytes:
    """Return what stands in a file of bytecode."""
    code = compile(source, path, "exec", dont_inherit=True)
    return MAGIC_NUMBER + UNCHECKED + source_hash(source) + dumps(code)


def add(archive: ZipFile, name: str, content: bytes) -> None:
    """Write a file that has the same bytes whenever it is made."""
    archive.writestr(ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content, ZIP_DEFLATED, 9)


for name in IMPORTED:
    importlib.import_module(name)
packages = Path(site.getsitepackages()[0])
library = next(path for path in sys.path if path.endswith(".zip"))
files = {str(getattr(module, "__file__", None)) for module in list(sys.modules.values())}

with ZipFile("/library.zip") as old, ZipFile("/library.new.zip", "w") as new:
    for entry in old.infolist():
        if entry.is_dir():
            continue
        source, path = old.read(entry), f"{library}/{entry.filename}"
        add(new, entry.filename, source)
        if path in files:
            add(new, f"{entry.filename}c", compiled(source, path))

with ZipFile("/bytecode.zip", "w") as new:
    for path in sorted(path for path in map(Path, files) if path.is_relative_to(packages)):
        if path.suffix == ".py":
            cached = Path(cache_from_source(str(path))).relative_to(packages)
            add(new, str(cached), compiled(path.read_bytes(), str(path)))
