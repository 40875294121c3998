"""How a domain finds its folder and its modules, and what it composes."""

import copy
import inspect
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConfigurationError,
    Domain,
    Entity,
    Event,
    Repository,
    current_domain,
    handle,
)

NUMBERS = itertools.count()


class Packages:
    """Makes packages of which each test can import its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = f"bookshelf{next(NUMBERS)}"

    def write(self, **modules: str) -> None:
        """Write modules; ``__`` in a name leads into a package."""
        for name, text in {"__init__": "", **modules}.items():
            folder = self.root / self.name
            *above, module = [name] if name.startswith("__") else name.split("_in_")[::-1]
            for part in above:
                folder /= part
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "__init__.py").touch()
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{module}.py").write_text(dedent(text))

    def load(self, module: str = "") -> Any:
        name = f"{self.name}.{module}" if module else self.name
        return __import__(name, fromlist=["*"])

    def loaded(self) -> list[str]:
        start = f"{self.name}."
        return sorted(each.removeprefix(start) for each in sys.modules if each.startswith(start))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    monkeypatch.syspath_prepend(tmp_path)
    packages = Packages(tmp_path)
    yield packages
    for name in list(sys.modules):
        if name.partition(".")[0] == packages.name:
            del sys.modules[name]


MODEL = """
    from happened import Aggregate, Domain

    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate): ...
"""
HANDLERS = """
    from happened import Command, handle
    from ..model import Book, domain

    @domain.command(part_of=Book)
    class AddBook(Command): ...

    @domain.command_handler(part_of=Book)
    class Books:
        @handle(AddBook)
        def add(self, command): return "added"
"""

# ------------------------------------------------------------------- init


def test_init_imports_every_module_of_the_package(package: Packages) -> None:
    package.write(
        model=MODEL,
        handlers_in_books=HANDLERS,
        __main__="raise SystemExit('a program is not imported')",
    )
    domain = package.load("model").domain
    domain.init()
    assert package.loaded() == ["books", "books.handlers", "model"]
    added = sys.modules[f"{package.name}.books.handlers"].AddBook()
    assert domain.process(added) == "added"
    domain.init()
    assert domain.process(added) == "added"


def test_a_domain_in_the_package_itself_finds_its_modules(package: Packages) -> None:
    package.write(
        __init__=MODEL + "\n    domain.init()\n",
        magazines="""
            from happened import Aggregate
            from . import domain

            @domain.aggregate
            class Magazine(Aggregate): ...
        """,
    )
    domain = package.load().domain
    assert [each.__name__ for each in domain.registry.aggregates] == ["Book", "Magazine"]


def test_init_imports_nothing_if_it_is_told_so(package: Packages) -> None:
    package.write(model=MODEL, broken="1 / 0")
    package.load("model").domain.init(traverse=False)
    assert package.loaded() == ["model"]


@pytest.mark.parametrize(
    "text,error",
    [
        ("import there_is_no_such_module", "ModuleNotFoundError: No module named 'there_is_no_"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("class", "SyntaxError: "),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(
    package: Packages, text: str, error: str
) -> None:
    package.write(model=MODEL, orders_in_sales=text)
    domain = package.load("model").domain
    with pytest.raises(ConfigurationError) as caught:
        domain.init()
    name = f"{package.name}.sales.orders"
    start = f"domain 'shelf': the module {name} cannot be imported: {error}"
    assert str(caught.value).startswith(start)
    assert type(caught.value.__cause__).__name__ == error.partition(":")[0]


def test_a_lone_module_does_not_import_its_siblings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lone_sibling.py").write_text("1 / 0")
    (tmp_path / "lone_shelf.py").write_text(dedent(MODEL))
    monkeypatch.syspath_prepend(tmp_path)
    __import__("lone_shelf").domain.init()
    assert "lone_sibling" not in sys.modules


@pytest.mark.parametrize(
    "arguments", [["{name}/model.py"], ["-m", "{name}.model"], ["-m", "{name}"]]
)
def test_a_main_program_does_not_import_its_siblings(
    package: Packages, arguments: list[str]
) -> None:
    """It would be imported a second time itself, under its other name."""
    program = MODEL + "\n    print('made')\n    domain.init()\n"
    package.write(model=program, __main__=program, broken="1 / 0")
    command = [sys.executable, *(each.format(name=package.name) for each in arguments)]
    run = subprocess.run(command, cwd=package.root, capture_output=True, text=True, check=False)
    assert (run.stdout, run.stderr) == ("made\n", "")


def test_init_after_more_was_registered_takes_it_in(package: Packages) -> None:
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate):
        title: str = ""

    domain.init(traverse=False)
    books = domain.repository_for(Book)
    books.add(Book(id="b1"))

    @domain.aggregate
    class Magazine(Aggregate): ...

    with pytest.raises(ConfigurationError, match=r"call init\(\)"):
        domain.process(Command())
    domain.init(traverse=False)
    domain.repository_for(Magazine).add(Magazine(id="m1"))
    assert "b1" in domain.repository_for(Book)
    assert "b1" in books


def test_every_mistake_is_told_at_once() -> None:
    domain = Domain("shelf")

    @domain.event
    class Lost(Event): ...

    @domain.command
    class Find(Command): ...

    with pytest.raises(ConfigurationError) as caught:
        domain.init(traverse=False)
    assert len(caught.value.problems) == 2
    assert "event Lost belongs to no aggregate" in caught.value.problems[0]
    assert "command Find has no handler" in caught.value.problems[1]


# ------------------------------------------------------------------- where a domain is made


SUBCLASS = """
    from happened import Domain

    class OurDomain(Domain):
        def __init__(this, name, **options):
            super().__init__(name, **options)

    class Ours(OurDomain):
        def __init__(self, name):
            super(Ours, self).__init__(name)

    def make(name):
        return Domain(name)
"""


@pytest.fixture
def library(package: Packages, tmp_path: Path) -> Packages:
    """A library with subclasses of Domain; the package beside it uses them."""
    folder = tmp_path / "library"
    folder.mkdir(exist_ok=True)
    (folder / "__init__.py").write_text(dedent(SUBCLASS))
    (folder / "pyproject.toml").write_text('[tool.happened]\nstorage = "memory://library"\n')
    (tmp_path / package.name).mkdir()
    (tmp_path / package.name / "pyproject.toml").write_text(
        '[tool.happened]\nstorage = "memory://package"\n'
    )
    sys.modules.pop("library", None)
    return package


@pytest.mark.parametrize("maker", ["OurDomain", "Ours"])
def test_a_subclass_belongs_to_the_module_that_makes_an_object_of_it(
    library: Packages, maker: str
) -> None:
    library.write(
        model=f"from library import {maker}\ndomain = {maker}('shelf')",
        siblings="from .model import domain",
    )
    domain = library.load("model").domain
    assert domain.config["storage"] == "memory://package"
    domain.init()
    assert library.loaded() == ["model", "siblings"]


def test_a_domain_made_by_a_function_belongs_to_the_functions_module(library: Packages) -> None:
    library.write(model="from library import make\ndomain = make('shelf')", siblings="1 / 0")
    domain = library.load("model").domain
    assert domain.config["storage"] == "memory://library"
    domain.init()


def test_a_domain_made_where_there_is_no_file_looks_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.happened]\nstorage = "memory://here"\n')
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"Domain": Domain}
    exec("domain = Domain('shelf')\ndomain.init()", names)
    assert names["domain"].config["storage"] == "memory://here"


# ------------------------------------------------------------------- the current domain


def test_the_current_domain_is_the_innermost_one() -> None:
    one, two = Domain("one"), Domain("two")
    with one.domain_context() as active:
        assert active is one
        with two.domain_context():
            assert current_domain.name == "two"
            assert repr(current_domain) == "<current_domain: Domain('two')>"
        assert current_domain.config is one.config
    assert repr(current_domain) == "<current_domain: None>"


def test_without_a_current_domain_the_error_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"inside a handler or `with domain.domain_con"):
        current_domain.repository_for(Aggregate)
    with pytest.raises(KeyError), Domain("one").domain_context():
        raise KeyError
    with pytest.raises(ConfigurationError, match="no domain is active"):
        _ = current_domain.name


def test_tools_may_look_at_the_current_domain_at_any_time() -> None:
    """Such as doctest, which unwraps every object of a module."""
    assert inspect.unwrap(current_domain) is current_domain  # type: ignore[arg-type]
    assert not hasattr(current_domain, "__wrapped__")
    copy.copy(current_domain)


def test_calls_on_a_domain_need_no_context_and_make_it_current() -> None:
    domain = Domain("shelf")
    names: list[str] = []

    @domain.aggregate
    class Book(Aggregate):
        def find(self) -> None:
            self.raise_(Found())

    @domain.event(part_of=Book)
    class Found(Event): ...

    @domain.command(part_of=Book)
    class Find(Command): ...

    @domain.command_handler(part_of=Book)
    class Finding:
        @handle(Find)
        def find(self, command: Find) -> None:
            names.append(f"command {current_domain.name}")

    @domain.on(Found)
    def note(event: Found) -> None:
        names.append(f"event {current_domain.name}")

    domain.init(traverse=False)
    with Domain("other").domain_context():
        domain.process(Find())
        domain.dispatch(Found())
        book = Book()
        book.find()
        domain.repository_for(Book).add(book)
        with domain.unit_of_work():
            names.append(f"block {current_domain.name}")
        assert current_domain.name == "other"
    assert names == ["command shelf", "event shelf", "event shelf", "block shelf"]


# ------------------------------------------------------------------- what is refused


def test_what_is_no_aggregate_of_the_domain_has_no_repository() -> None:
    domain = Domain("shelf")

    class Book(Aggregate): ...

    domain.init(traverse=False)
    for refused in (Book, "Book"):
        with pytest.raises(ConfigurationError, match=r"Book'? is no aggregate of this domain"):
            domain.repository_for(refused)  # type: ignore[arg-type]


def test_a_name_without_a_letter_is_refused() -> None:
    for name in ("", " - ", None, 3, ["shelf"]):
        with pytest.raises(ConfigurationError, match="name"):
            Domain(name)  # type: ignore[arg-type]
    assert Domain("2").name == "2"


def test_a_call_before_init_is_refused() -> None:
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate): ...

    for call in (
        lambda: domain.process(Command()),
        lambda: domain.dispatch(Event()),
        lambda: domain.repository_for(Book),
    ):
        with pytest.raises(ConfigurationError, match=r"domain 'shelf' is not ready; call init\(\)"):
            call()


def test_a_function_without_an_event_is_refused() -> None:
    domain = Domain("shelf")
    for events in ((), (None,), (print,), (Packages,)):
        with pytest.raises(ConfigurationError, match=r"@domain.on\(BookAdded\)"):
            domain.on(*events)


@pytest.mark.parametrize("name", ["command_handler", "event_handler", "repository"])
def test_a_decorator_without_the_options_that_it_needs_says_how_to_write_it(name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        getattr(Domain("shelf"), name)(Packages)
    advice = f"say which aggregate it is a part of, as @domain.{name}(part_of=Book)"
    assert caught.value.problems == (f"Packages: {advice}",)


@pytest.mark.parametrize(
    "name", ["aggregate", "projection", "entity", "value_object", "command", "event"]
)
def test_a_decorator_whose_options_can_be_left_away_needs_no_parentheses(name: str) -> None:
    for bare in (True, False):
        domain = Domain("shelf")
        decorate = getattr(domain, name)
        made = (decorate if bare else decorate())(type("Book", (), {"__module__": __name__}))
        assert [each.target for each in domain.registry.elements] == [made]


def test_a_registered_class_keeps_its_name_and_its_options() -> None:
    domain = Domain("shelf")

    @domain.aggregate(stream_category="volume")
    class Book(Aggregate): ...

    @domain.command_handler(part_of=Book, retries=3)
    class Books: ...

    @domain.repository(part_of=Book)
    class Ours(Repository[Book]): ...

    assert (Book.__name__, Books.__name__, Ours.__name__) == ("Book", "Books", "Ours")
    assert [element.kind for element in domain.registry.elements] == [
        *("aggregate", "command handler", "repository")
    ]
    assert domain.registry.elements[1].retries == 3
    assert repr(domain) == "Domain('shelf')"


def test_a_repository_is_found_by_its_own_class_and_an_entity_has_none() -> None:
    domain = Domain("shelf")

    @domain.aggregate
    class Book(Aggregate):
        title: str

    @domain.entity(part_of=Book)
    class Chapter(Entity):
        heading: str

    @domain.repository(part_of=Book)
    class Books(Repository[Book]): ...

    domain.init(traverse=False)
    assert domain.repository_for(Books) is domain.repository_for(Book)
    with pytest.raises(ConfigurationError, match="an entity is reached through the aggregate"):
        domain.repository_for(Chapter)  # type: ignore[type-var]
