"""A domain that was closed is opened again, on every storage."""

import asyncio
from typing import Any

import pytest

from happened import Aggregate, Domain, Event, Repository, StorageError, current_domain, handle


class Shop:
    """Books, and a note of each that was added."""

    def __init__(self, url: str, processing: str) -> None:
        self.domain = domain = Domain("shop", storage=url, event_processing=processing)

        @domain.aggregate
        class Book(Aggregate):
            def add(self) -> None:
                self.raise_(BookAdded(book_id=self.id))

        @domain.aggregate
        class Note(Aggregate): ...

        @domain.event(part_of=Book)
        class BookAdded(Event):
            book_id: str

        @domain.event_handler(part_of=Note, stream_category="book")
        class Notes:
            @handle(BookAdded)
            def write(self, event: Any) -> None:
                current_domain.repository_for(Note).add(Note(id=event.book_id))

        @domain.repository(part_of=Note)
        class Written(Repository[Any]):
            def ids(self) -> list[str]:
                return sorted(note.id for note in self)

        domain.init(traverse=False)
        domain.storage.create()
        self.Book = Book
        self.books = domain.repository_for(Book)
        self.notes: Any = domain.repository_for(Written)

    def add(self, id: str) -> None:
        book = self.Book(id=id)
        book.add()
        self.books.add(book)


@pytest.mark.parametrize("processing", ["sync", "async"])
def test_a_closed_domain_is_opened_again_by_init(storage_url: str, processing: str) -> None:
    shop = Shop(storage_url, processing)
    shop.add("b1")
    shop.domain.catch_up()
    for _ in range(2):
        shop.domain.close()
        with pytest.raises(StorageError):
            shop.books.get("b1")
        with pytest.raises(StorageError):
            shop.domain.catch_up()
        shop.domain.init(traverse=False)
    kept = ["b1"] if shop.domain.storage.durable else []
    assert shop.notes.ids() == kept
    assert ("b1" in shop.books) == bool(kept)
    shop.add("b2")
    shop.domain.catch_up()
    assert shop.notes.ids() == [*kept, "b2"]
    assert shop.domain.repository_for(shop.Book) is shop.books
    assert [each.metadata.stream for each in shop.domain.storage.read_category("book")] == [
        f"book-{id}" for id in [*kept, "b2"]
    ]
    shop.domain.close()


def test_init_again_leaves_open_what_is_open(storage_url: str) -> None:
    shop = Shop(storage_url, "sync")
    shop.add("b1")
    shop.domain.init(traverse=False)
    assert shop.notes.ids() == ["b1"]
    shop.domain.close()


def test_each_event_loop_may_open_and_close_it(storage_url: str) -> None:
    shop = Shop(storage_url, "sync")

    async def serve(id: str) -> None:
        await asyncio.to_thread(shop.domain.init, traverse=False)
        await asyncio.to_thread(shop.add, id)
        await asyncio.to_thread(shop.domain.close)

    asyncio.run(serve("b1"))
    asyncio.run(serve("b2"))
    shop.domain.init(traverse=False)
    assert shop.notes.ids() == (["b1", "b2"] if shop.domain.storage.durable else [])
    shop.domain.close()
