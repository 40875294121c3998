"""The floor on SQLite: raw sqlite3, two transactions a command, the models of `floor.py`.

Who dies between the two transactions loses what the second one would have done. `open_shop_once`
notes in the first what is still to be done, and strikes it off in the second, as Happened does.
"""

import sqlite3
from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import uuid4

from benchmarks.contenders import STOCK, Shop
from benchmarks.contenders.floor import Inventory, Order, OrderPlaced, PlaceOrder
from benchmarks.places import options

TABLES = """
    CREATE TABLE orders (id TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE inventories (id TEXT PRIMARY KEY, version INTEGER NOT NULL, data TEXT NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE messages (
        global_position INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        stream TEXT NOT NULL,
        position INTEGER NOT NULL,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        UNIQUE (stream, position)
    );
    CREATE TABLE pending (
        handler TEXT NOT NULL, message_id TEXT NOT NULL, PRIMARY KEY (handler, message_id)
    ) WITHOUT ROWID;
"""


def opened(books: Sequence[str], url: str) -> sqlite3.Connection:
    connection = sqlite3.connect(urlsplit(url).path[1:], isolation_level=None)
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute(f"PRAGMA synchronous = {options(url)['synchronous']}")
    connection.executescript(TABLES)
    for book in books:
        row = Inventory(id=book, stock=STOCK).model_dump_json()
        connection.execute("INSERT INTO inventories VALUES (?, 1, ?)", (book, row))
    return connection


def check(changed: sqlite3.Cursor, problem: str) -> None:
    if changed.rowcount != 1:
        raise RuntimeError(problem)


def open_shop_once(books: Sequence[str], url: str) -> Shop:
    return open_shop(books, url, once=True)


def open_shop(books: Sequence[str], url: str, *, once: bool = False) -> Shop:
    connection = opened(books, url)
    execute = connection.execute

    def place(command: PlaceOrder) -> None:
        execute("BEGIN IMMEDIATE")
        order = Order(id=command.order_id, book_id=command.book_id, quantity=command.quantity)
        event = OrderPlaced(
            order_id=order.id,
            book_id=order.book_id,
            quantity=order.quantity,
            correlation_id=command.correlation_id,
            causation_id=command.message_id,
        )
        execute("INSERT INTO orders VALUES (?, 1, ?)", (order.id, order.model_dump_json()))
        execute(
            "INSERT INTO messages (id, stream, position, type, data) VALUES (?, ?, 0, ?, ?)",
            (
                str(event.message_id),
                f"order-{order.id}",
                "Shop.OrderPlaced.v1",
                event.model_dump_json(),
            ),
        )
        if once:
            execute("INSERT INTO pending VALUES (?, ?)", ("reduce", str(event.message_id)))
        execute("COMMIT")
        for handler in handlers[type(event)]:
            handler(event)

    def reduce(event: OrderPlaced) -> None:
        execute("BEGIN IMMEDIATE")
        version, data = execute(
            "SELECT version, data FROM inventories WHERE id = ?", (event.book_id,)
        ).fetchone()
        inventory = Inventory.model_validate_json(data)
        inventory.stock -= event.quantity
        changed = execute(
            "UPDATE inventories SET version = ?, data = ? WHERE id = ? AND version = ?",
            (version + 1, inventory.model_dump_json(), inventory.id, version),
        )
        check(changed, f"inventory {inventory.id} is no longer at version {version}")
        if once:
            strike_off(event)
        execute("COMMIT")

    def strike_off(event: OrderPlaced) -> None:
        note = ("reduce", str(event.message_id))
        done = execute("DELETE FROM pending WHERE handler = ? AND message_id = ?", note)
        check(done, f"{event.message_id} was handled before")

    handlers = {OrderPlaced: [reduce]}

    def place_order(order_id: str, book_id: str) -> None:
        place(PlaceOrder(order_id=order_id, book_id=book_id, quantity=1, correlation_id=uuid4()))

    def stock(book: str) -> int:
        (data,) = execute("SELECT data FROM inventories WHERE id = ?", (book,)).fetchone()
        return Inventory.model_validate_json(data).stock

    return Shop(place_order, stock, connection.close)
