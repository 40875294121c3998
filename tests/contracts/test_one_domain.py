"""A storage that lasts belongs to one domain; one of another name is refused."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from happened import Aggregate, Domain, Event, StorageError
from happened.storage import open_storage

REFUSED = (
    r"domain 'shop', and this is domain 'library'; give each domain a (file|schema) of its own"
)


class Books:
    """A domain with books; each that is added raises an event, which a handler takes."""

    def __init__(self, name: str, url: str) -> None:
        self.domain = domain = Domain(name, storage=url)
        self.seen: list[str] = []

        @domain.aggregate
        class Book(Aggregate):
            def add(self) -> None:
                self.raise_(BookAdded(book_id=self.id))

        @domain.event(part_of=Book)
        class BookAdded(Event):
            book_id: str

        @domain.on(BookAdded)
        def see(event: Any) -> None:
            self.seen.append(event.book_id)

        self.Book = Book

    def add(self, id: str) -> None:
        self.domain.init(traverse=False)
        book = self.Book(id=id)
        book.add()
        self.domain.repository_for(self.Book).add(book)


def dump(url: str) -> Sequence[Sequence[object]]:
    """All messages, checkpoints and deliveries that a storage holds."""
    storage = open_storage(url)
    found = (storage.read_category(None), storage.checkpoints(), storage.deliveries())
    storage.close()
    return found


def test_a_domain_of_another_name_is_refused_and_nothing_of_it_is_written(durable_url: str) -> None:
    shop, library = Books("shop", durable_url), Books("library", durable_url)
    shop.add("b1")
    before = dump(durable_url)
    with pytest.raises(StorageError, match=REFUSED):
        library.add("b2")
    with pytest.raises(StorageError):
        library.domain.storage.read_category(None)
    assert dump(durable_url) == before
    shop.add("b3")
    assert (shop.seen, library.seen) == (["b1", "b3"], [])
    for each in (shop, library):
        each.domain.close()


def test_a_domain_of_the_same_name_is_none_other(durable_url: str) -> None:
    for id in ("b1", "b2"):
        shop = Books("shop", durable_url)
        shop.add(id)
        assert shop.domain.repository_for(shop.Book).query.count() == int(id[1])
        shop.domain.close()


def test_a_domain_that_was_renamed_is_told_its_old_name(durable_url: str) -> None:
    old, new = Books("shop", durable_url), Books("library", durable_url)
    old.add("b1")
    with pytest.raises(StorageError, match=r"or name this one 'shop' again$"):
        new.add("b2")
    for each in (old, new):
        each.domain.close()


def test_a_connection_of_somebody_s_own_is_no_way_in(durable_url: str) -> None:
    shop, library = Books("shop", durable_url), Books("library", durable_url)
    shop.add("b1")
    transaction = shop.domain.storage.begin()
    connection = transaction.connection

    def look() -> None:
        library.domain.init(traverse=False)
        library.domain.storage.begin(connection).load("book", "b1")

    with pytest.raises(StorageError, match=REFUSED):
        look()
    transaction.rollback()
    for each in (shop, library):
        each.domain.close()


def test_of_two_that_are_the_first_at_once_one_is_refused(durable_url: str) -> None:
    """Their tables are there, but nobody's."""
    open_storage(durable_url).create()
    domains = [Books(name, durable_url) for name in ("shop", "library") for _ in range(4)]
    start = threading.Barrier(len(domains))

    def use(books: Books) -> str:
        start.wait()
        try:
            books.add(f"b{id(books)}")
        except StorageError:
            return ""
        return books.domain.name

    with ThreadPoolExecutor(len(domains)) as pool:
        names = list(pool.map(use, domains))
    (owner,) = set(names) - {""}
    assert [name == owner for name in names] == [each.domain.name == owner for each in domains]
    assert len(dump(durable_url)[0]) == 4
    for each in domains:
        each.domain.close()


FIRST = """
import sys
from happened import Aggregate, Domain, StorageError

domain = Domain(sys.argv[1], storage=sys.argv[2])

@domain.aggregate
class Book(Aggregate): ...

print("ready", flush=True)
sys.stdin.readline()
try:
    domain.init()
    domain.storage.create()
    domain.repository_for(Book).add(Book())
    print("added")
except StorageError:
    print("refused")
"""


def test_of_two_processes_that_make_the_tables_at_once_one_is_refused(
    durable_url: str, tmp_path: Path
) -> None:
    program = tmp_path / "first.py"
    program.write_text(FIRST)
    processes = [
        subprocess.Popen(
            [sys.executable, program, name, durable_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for name in ("shop", "library")
    ]
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    said = [each.communicate("go\n", timeout=60)[0] for each in processes]
    assert sorted(said) == ["added\n", "refused\n"]


COMMANDS = ["status", "storage init", "storage check", "server --once", "streams list"]


def test_every_command_refuses_it(durable_url: str, tmp_path: Path) -> None:
    shop = Books("shop", durable_url)
    shop.add("b1")
    shop.domain.close()
    before = dump(durable_url)
    text = f"from happened import Domain\nlibrary = Domain('library', storage={durable_url!r})\n"
    (tmp_path / "library.py").write_text(text)
    for command in COMMANDS:
        ran = subprocess.run(
            [sys.executable, "-m", "happened", *command.split(), "library"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ran.returncode, ran.stdout) == (1, ""), command
        assert re.search(REFUSED, ran.stderr), command
    assert dump(durable_url) == before
