"""The layers: what each module may import, how long it is, and what it says of itself."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import happened

PACKAGE = Path(happened.__file__).parent

# Lowest first. A name stands for a module, or for every module of a folder.
LAYERS = {
    "0": "errors faults identifiers",
    "1": "declaration dispatcher fields handlers hooks immutable messages metadata streams tracing"
    " upcasting",
    "2": "associations composition containers elements invariants model registry",
    "3": "query repository storage unit_of_work writes",
    "4": "broker loops processing replay server subscription waiting",
    "5": "sourcing",
    "R": "config domain",
    "6": "adapters integrations testing",
    "7": "__main__ cli diagrams mermaid recording",
}
LAYER = {name: layer for layer, names in LAYERS.items() for name in names.split()}
ORDER = list(LAYERS)

# The core and the adapters that need no driver. A browser's CPython must be able to load them.
CORE = {name for name, layer in LAYER.items() if layer in "012345R"} - {"server"}
PORTABLE = {
    *("adapters/__init__", "adapters/memory", "adapters/memory_table"),
    *("adapters/sqlite", "adapters/sqlite_file"),
    *("adapters/sqlite_partitions", "adapters/sqlite_query", "adapters/sqlite_transaction"),
    "adapters/sqlite_writes",
}
STANDARD = sys.stdlib_module_names | {"annotationlib"}  # new in Python 3.14
THIRD_PARTY = {"pydantic", "pydantic_core"}
LACKING = {"_thread", "fcntl", "multiprocessing", "select", "signal", "socket", "ssl", "subprocess"}
# They load, and work, without threads.
ALLOWED_OF_THREADING = {
    *("Condition", "Lock", "RLock", "current_thread", "get_ident", "local", "main_thread"),
}

LONGEST = 400


def name_of(path: Path, root: Path) -> str:
    """A module by its path in the package, ``adapters/memory``."""
    return path.relative_to(root).with_suffix("").as_posix()


def imports(tree: ast.AST, name: str) -> Iterator[tuple[int, str, str]]:
    """Every import of a module, those in functions and for types alone included.

    Yields the line, the module, and the name that is taken from it, if there is one.
    """
    package = ["happened", *name.split("/")[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            near = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*near, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, module, alias.name


def unit_of(module: str, taken: str) -> str | None:
    """What an import of ours means: the module or the folder, by the name in the table."""
    parts = [*module.split("."), taken]
    return parts[1] or None if parts[0] == "happened" else None


def mistakes(path: Path, root: Path) -> list[str]:
    """Everything that is wrong with the imports and the length of one module."""
    name = name_of(path, root)
    own = name.split("/")[0]
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    if own == "__init__":
        return list(_wrong_init(tree, name))
    if own not in LAYER:
        return [f"{name} stands in no layer"]
    return [
        *_wrong_imports(tree, name),
        *_wrong_threads(tree, name),
        *_wrong_docstring(tree, name),
        *_too_long(tree, text, name),
    ]


def _wrong_init(tree: ast.AST, name: str) -> Iterator[str]:
    """The package itself loads its modules when they are used, so it imports none but for types."""
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in guarded:
            for line, module, _ in imports(node, name):
                if module.split(".")[0] not in STANDARD:
                    yield f"{name}:{line} imports {module} when it is loaded"


def _wrong_imports(tree: ast.AST, name: str) -> Iterator[str]:
    own = name.split("/", maxsplit=1)[0]
    for line, module, taken in imports(tree, name):
        where = f"{name}:{line} imports {module}{'.' if taken else ''}{taken}"
        target = unit_of(module, taken)
        if module.split(".")[0] != "happened":
            yield from _wrong_foreign(module, taken, name, where)
        elif target is None or target not in LAYER:
            yield f"{where}, which stands in no layer"
        elif ORDER.index(LAYER[target]) > ORDER.index(LAYER[own]):
            yield f"{where}, which stands higher"
        elif target in ("adapters", "integrations"):
            if not _same_folder(module, taken, name):
                yield f"{where}, which is loaded by name alone"
        elif own == "adapters" and LAYER[target] == "R":
            yield f"{where}: an adapter knows its port and what is below it"


def _same_folder(module: str, taken: str, name: str) -> bool:
    """Whether an integration imports a file of its own folder, or an adapter a part of its own.

    The parts of the adapter ``sqlite`` are named after it: ``sqlite_query``.
    """
    own = name.split("/")
    target = f"{module}.{taken}".split(".")[1:]
    if own[0] == target[0] == "adapters":
        adapter = own[1].partition("_")[0]
        return target[1].startswith(f"{adapter}_")
    return own[0] == "integrations" and len(own) > 2 and target[:2] == own[:2]


def _wrong_foreign(module: str, taken: str, name: str, where: str) -> Iterator[str]:
    root = module.split(".", maxsplit=1)[0]
    if name.split("/", maxsplit=1)[0] not in CORE and name not in PORTABLE:
        return
    if root not in STANDARD | THIRD_PARTY:
        yield f"{where}: the core depends on Pydantic alone"
    if root in LACKING:
        yield f"{where}, which a browser's Python lacks"
    if root == "threading" and taken not in ALLOWED_OF_THREADING | {""}:
        yield f"{where}, and a browser's Python starts no threads"


def _wrong_threads(tree: ast.AST, name: str) -> Iterator[str]:
    """What ``import threading`` brings is looked at where it is used."""
    if name.split("/", 1)[0] not in CORE and name not in PORTABLE:
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or ast.unparse(node.value) != "threading":
            continue
        if node.attr not in ALLOWED_OF_THREADING:
            used = f"{name}:{node.lineno} uses threading.{node.attr}"
            yield f"{used}, and a browser's Python starts no threads"


def _wrong_docstring(tree: ast.Module, name: str) -> Iterator[str]:
    layer = LAYER[name.split("/", maxsplit=1)[0]]
    if not (ast.get_docstring(tree) or "").startswith(f"Layer {layer}."):
        yield f"{name}: its docstring must begin with 'Layer {layer}.'"


def _too_long(tree: ast.AST, text: str, name: str) -> Iterator[str]:
    lines = code_lines(tree, text)
    if lines > LONGEST:
        yield f"{name} has {lines} lines of code; {LONGEST} are enough for one module"


def code_lines(tree: ast.AST, text: str) -> int:
    """How many lines there are without docstrings, comments and blanks."""
    told: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                told.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(
        number not in told and bool(line.strip()) and not line.lstrip().startswith("#")
        for number, line in lines
    )


def modules(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda path: name_of(path, PACKAGE))
def test_a_module_imports_what_is_below_it_and_is_not_too_long(path: Path) -> None:
    assert mistakes(path, PACKAGE) == []


def test_every_layer_up_to_the_command_line_was_looked_at() -> None:
    found = {LAYER.get(name_of(path, PACKAGE).split("/")[0]) for path in modules(PACKAGE)}
    assert {"0", "1", "2", "3", "4", "R", "6", "7"} <= found


def test_a_module_stands_in_one_layer() -> None:
    names = [name for names in LAYERS.values() for name in names.split()]
    assert len(names) == len(set(names))


def test_there_are_few_public_names_and_they_are_sorted() -> None:
    assert len(happened.__all__) <= 25
    assert list(happened.__all__) == sorted(set(happened.__all__))


# --------------------------------------------------------------- the test itself is tested

DOCSTRINGS = {name: f'"""Layer {layer}. A module."""\n' for name, layer in LAYER.items()}


@pytest.mark.parametrize(
    "name, code, mistake",
    [
        (
            "repository",
            "def f():\n    from happened.domain import Domain\n",
            "repository:3 imports happened.domain.Domain, which stands higher",
        ),
        (
            "storage",
            "from .adapters.memory import MemoryStorage\n",
            "storage:2 imports happened.adapters.memory.MemoryStorage, which stands higher",
        ),
        (
            "messages",
            "from happened import domain\n",
            "messages:2 imports happened.domain, which stands higher",
        ),
        (
            "model",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import happened.cli\n",
            "model:4 imports happened.cli, which stands higher",
        ),
        (
            "integrations/django/apps",
            "from ...cli import main\n",
            "integrations/django/apps:2 imports happened.cli.main, which stands higher",
        ),
        (
            "cli",
            "from happened.adapters import memory\n",
            "cli:2 imports happened.adapters.memory, which is loaded by name alone",
        ),
        (
            "adapters/sqlite",
            "from happened.adapters.memory import MemoryStorage\n",
            (
                "adapters/sqlite:2 imports happened.adapters.memory.MemoryStorage, which is "
                "loaded by name alone"
            ),
        ),
        (
            "adapters/sqlite",
            "from . import memory\n",
            "adapters/sqlite:2 imports happened.adapters.memory, which is loaded by name alone",
        ),
        (
            "adapters/postgres",
            "from happened.adapters.sqlite_query import literal\n",
            (
                "adapters/postgres:2 imports happened.adapters.sqlite_query.literal, which is "
                "loaded by name alone"
            ),
        ),
        (
            "adapters/sqlite_query",
            "from happened.adapters.sqlite import SQLiteStorage\n",
            (
                "adapters/sqlite_query:2 imports happened.adapters.sqlite.SQLiteStorage, which is "
                "loaded by name alone"
            ),
        ),
        (
            "adapters/sqlite",
            "from happened.domain import Domain\n",
            (
                "adapters/sqlite:2 imports happened.domain.Domain: an adapter knows its port and "
                "what is below it"
            ),
        ),
        (
            "query",
            "from happened.helpers import things\n",
            "query:2 imports happened.helpers.things, which stands in no layer",
        ),
        (
            "query",
            "import happened\n",
            "query:2 imports happened, which stands in no layer",
        ),
        (
            "query",
            "import sqlalchemy.orm\n",
            "query:2 imports sqlalchemy.orm: the core depends on Pydantic alone",
        ),
        (
            "adapters/memory",
            "import psycopg\n",
            "adapters/memory:2 imports psycopg: the core depends on Pydantic alone",
        ),
        (
            "processing",
            "import socket\n",
            "processing:2 imports socket, which a browser's Python lacks",
        ),
        (
            "processing",
            "from threading import Thread\n",
            "processing:2 imports threading.Thread, and a browser's Python starts no threads",
        ),
        (
            "processing",
            "import threading\nthreading.Thread()\n",
            "processing:3 uses threading.Thread, and a browser's Python starts no threads",
        ),
        (
            "helpers",
            "",
            "helpers stands in no layer",
        ),
        (
            "hooks",
            "x = 1\n" * 401,
            "hooks has 401 lines of code; 400 are enough for one module",
        ),
        (
            "__init__",
            "from happened.model import Entity\n",
            "__init__:1 imports happened.model when it is loaded",
        ),
        (
            "__init__",
            "def f():\n    import pydantic\n",
            "__init__:2 imports pydantic when it is loaded",
        ),
    ],
    ids=range(22),
)
def test_a_planted_mistake_is_found(name: str, code: str, mistake: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DOCSTRINGS.get(name.split("/", maxsplit=1)[0], "") + code)
    assert mistakes(path, tmp_path) == [mistake]


@pytest.mark.parametrize(
    "name, code",
    [
        ("messages", "import json\nfrom pydantic_core import core_schema\n"),
        ("messages", "from happened.errors import HappenedError\nfrom .tracing import trace\n"),
        ("cli", "import socket\nfrom happened import domain\n"),
        ("adapters/postgres", "import psycopg\nfrom happened.storage import Storage\n"),
        ("adapters/sqlite", "from happened.adapters.sqlite_query import literal\n"),
        ("adapters/memory", "from threading import Lock\nfrom ..storage import Storage\n"),
        ("integrations/fastapi", "import fastapi\nfrom happened.domain import Domain\n"),
        ("integrations/django/apps", "from .middleware import X\nfrom . import middleware\n"),
        ("hooks", 'def f():\n    """Long.\n\n\n    """\n' + "x = 1\n" * 399 + "# more\n\n" * 50),
        ("query", "import threading\nlock = threading.Lock()\n"),
        (
            "__init__",
            (
                "import importlib\nfrom typing import TYPE_CHECKING\n"
                "if TYPE_CHECKING:\n    from happened.model import Entity\n"
            ),
        ),
    ],
    ids=range(11),
)
def test_what_is_allowed_is_no_mistake(name: str, code: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(DOCSTRINGS.get(name.split("/", maxsplit=1)[0], "") + code)
    assert mistakes(path, tmp_path) == []


def test_a_docstring_without_its_layer_is_found(tmp_path: Path) -> None:
    path = tmp_path / "hooks.py"
    for text in ('"""Layer 2. Hooks."""\n', '"""Hooks."""\n', "x = 1\n"):
        path.write_text(text)
        assert mistakes(path, tmp_path) == ["hooks: its docstring must begin with 'Layer 1.'"]
