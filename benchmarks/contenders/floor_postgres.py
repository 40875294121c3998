"""The floor on PostgreSQL: plain psycopg, nothing pipelined, the models of `floor.py`.

- The shop: two transactions a command, of two statements each.
- The backlog: `statements` handles an event in one statement, which is its transaction, too;
  `batches` writes row by row and commits, with the checkpoint, every 100 events.
- The writers: `unnumbered` inserts rows without a global position, which the reader gives to what
  it finds committed; `locked` numbers at insert, under a lock of the table until the commit.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from benchmarks.contenders import STOCK, Append, Backlog, Read, Shop, Writers
from benchmarks.contenders.floor import Inventory, Order, OrderPlaced, PlaceOrder
from benchmarks.places import connect

TABLES = """
    CREATE TABLE orders (id text PRIMARY KEY, version int NOT NULL, data jsonb NOT NULL);
    CREATE TABLE inventories (id text PRIMARY KEY, version int NOT NULL, data jsonb NOT NULL);
    CREATE TABLE messages (
        id uuid PRIMARY KEY,
        inserted bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        global_position bigint,
        stream text NOT NULL,
        position int NOT NULL,
        type text NOT NULL,
        data jsonb NOT NULL,
        UNIQUE (stream, position)
    );
    CREATE INDEX ON messages (global_position) WHERE global_position IS NOT NULL;
    CREATE INDEX ON messages (inserted) WHERE global_position IS NULL;
    CREATE TABLE slips (order_id text PRIMARY KEY, book_id text NOT NULL, quantity int NOT NULL);
    CREATE TABLE checkpoints (subscription text PRIMARY KEY, position bigint NOT NULL);
    INSERT INTO checkpoints VALUES ('slips', 0);
"""
MESSAGE = "INSERT INTO messages (id, stream, position, type, data) VALUES (%s, %s, %s, %s, %s)"
SLIP = "INSERT INTO slips VALUES (%s, %s, %s)"
CHECKPOINT = "UPDATE checkpoints SET position = %s WHERE subscription = 'slips'"
TYPE = "Shop.OrderPlaced.v1"


def create(url: str) -> None:
    with connect(url) as connection:
        connection.execute(TABLES)


def open_shop(books: Sequence[str], url: str) -> Shop:
    create(url)
    connection = connect(url)
    cursor = connection.cursor()
    execute = cursor.execute
    for book in books:
        data = Inventory(id=book, stock=STOCK).model_dump_json()
        execute("INSERT INTO inventories VALUES (%s, 1, %s)", (book, data))
    connection.commit()

    def place(command: PlaceOrder) -> None:
        order = Order(id=command.order_id, book_id=command.book_id, quantity=command.quantity)
        event = OrderPlaced(
            order_id=order.id,
            book_id=order.book_id,
            quantity=order.quantity,
            correlation_id=command.correlation_id,
            causation_id=command.message_id,
        )
        execute("INSERT INTO orders VALUES (%s, 1, %s)", (order.id, order.model_dump_json()))
        message = (event.message_id, f"order-{order.id}", 0, TYPE, event.model_dump_json())
        execute(MESSAGE, message)
        connection.commit()
        for handler in handlers[type(event)]:
            handler(event)

    def reduce(event: OrderPlaced) -> None:
        execute("SELECT version, data::text FROM inventories WHERE id = %s", (event.book_id,))
        version, data = one(cursor.fetchone())
        inventory = Inventory.model_validate_json(data)
        inventory.stock -= event.quantity
        execute(
            "UPDATE inventories SET version = %s, data = %s WHERE id = %s AND version = %s",
            (version + 1, inventory.model_dump_json(), inventory.id, version),
        )
        if cursor.rowcount != 1:
            raise RuntimeError(f"inventory {inventory.id} is no longer at version {version}")
        connection.commit()

    handlers = {OrderPlaced: [reduce]}

    def place_order(order_id: str, book_id: str) -> None:
        place(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1, correlation_id=uuid4()))

    def stock(book: str) -> int:
        execute("SELECT data::text FROM inventories WHERE id = %s", (book,))
        (data,) = one(cursor.fetchone())
        connection.commit()
        return Inventory.model_validate_json(data).stock

    return Shop(place_order, stock, connection.close)


def open_backlog_statements(url: str, events: int) -> Backlog:
    together = f"WITH slip AS ({SLIP}) {CHECKPOINT}"

    def handle(connection: Any) -> None:
        connection.autocommit = True
        execute = connection.cursor().execute
        for position, event in unread(connection):
            execute(together, (event.order_id, event.book_id, event.quantity, position))

    return backlog(url, events, handle)


def open_backlog_batches(url: str, events: int) -> Backlog:
    def handle(connection: Any) -> None:
        execute = connection.cursor().execute
        position = 0
        for position, event in unread(connection):
            execute(SLIP, (event.order_id, event.book_id, event.quantity))
            if position % 100 == 0:
                execute(CHECKPOINT, (position,))
                connection.commit()
        execute(CHECKPOINT, (position,))
        connection.commit()

    return backlog(url, events, handle)


def backlog(url: str, events: int, handle: Callable[[Any], None]) -> Backlog:
    create(url)
    connection = connect(url)
    with connection.cursor().copy(
        "COPY messages (id, global_position, stream, position, type, data) FROM STDIN"
    ) as copy:
        for position in range(1, events + 1):
            event = OrderPlaced(order_id=str(uuid4()), book_id="book-1", quantity=1)
            stream = f"order-{event.order_id}"
            row = (event.message_id, position, stream, 0, TYPE, event.model_dump_json())
            copy.write_row(row)
    connection.commit()

    def run() -> float:
        begun = time.perf_counter()
        handle(connection)
        return time.perf_counter() - begun

    def rows() -> int:
        (position,) = one(connection.execute("SELECT position FROM checkpoints").fetchone())
        assert position == events, f"read as far as {position}"
        (found,) = one(connection.execute("SELECT count(*) FROM slips").fetchone())
        return int(found)

    return Backlog(run, rows, connection.close)


def unread(connection: Any) -> Any:
    """The events from the first on, in pages of 500."""
    read = 0
    while True:
        page = connection.execute(
            "SELECT global_position, data::text FROM messages WHERE global_position > %s "
            "ORDER BY global_position LIMIT 500",
            (read,),
        ).fetchall()
        for read, data in page:
            yield read, OrderPlaced.model_validate_json(data)
        if len(page) < 500:
            return


def open_writers_unnumbered(url: str) -> Writers:
    """A reader numbers what it finds committed, in the order of insertion, and then reads it."""

    def number(execute: Callable[..., Any]) -> None:
        execute(
            "WITH last AS (SELECT coalesce(max(global_position), 0) AS position FROM messages "
            "WHERE global_position IS NOT NULL), fresh AS (SELECT id, row_number() OVER "
            "(ORDER BY inserted) AS place FROM messages WHERE global_position IS NULL) "
            "UPDATE messages SET global_position = last.position + fresh.place "
            "FROM last, fresh WHERE messages.id = fresh.id"
        )

    return writers(url, MESSAGE, number)


def open_writers_locked(url: str) -> Writers:
    """One writer at a time: whoever has the lock has the highest number, until it commits."""
    numbered = MESSAGE.replace("(id,", "(global_position, id,").replace(
        "VALUES (", "VALUES ((SELECT coalesce(max(global_position), 0) + 1 FROM messages), "
    )
    return writers(url, numbered, lock="LOCK TABLE messages IN EXCLUSIVE MODE")


def writers(
    url: str,
    insert: str,
    number: Callable[[Callable[..., Any]], None] | None = None,
    lock: str | None = None,
) -> Writers:
    create(url)

    def open_writer(writer: int) -> Append:
        connection = connect(url)
        execute = connection.cursor().execute

        def append(position: int, delay: float) -> None:
            event = OrderPlaced(order_id=f"{writer}", book_id="book-1", quantity=1)
            message = (
                event.message_id,
                f"order-{writer}",
                position,
                TYPE,
                event.model_dump_json(),
            )
            if lock:
                execute(lock)
            execute(insert, message)
            time.sleep(delay)
            connection.commit()

        return Append(append, connection.close)

    def open_reader() -> Read:
        connection = connect(url)
        execute = connection.cursor().execute
        checkpoint = 0

        def read() -> list[str]:
            nonlocal checkpoint
            if number:
                number(execute)
                connection.commit()
            page = execute(
                "SELECT global_position, id FROM messages WHERE global_position > %s "
                "ORDER BY global_position LIMIT 1000",
                (checkpoint,),
            ).fetchall()
            connection.commit()
            if page:
                checkpoint = page[-1][0]
            return [str(id) for _, id in page]

        return Read(read, connection.close)

    return Writers(open_writer, open_reader)


def one(row: Any) -> Any:
    assert row is not None
    return row
