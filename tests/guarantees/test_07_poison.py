"""Poison is set aside: what keeps failing becomes a dead letter, and other streams go on."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from happened import Aggregate, Domain, Event, MessageError, current_domain
from happened.fields import List
from happened.server import Server
from happened.storage import Delivery
from tests.guarantees.accounts import connected
from tests.guarantees.letters import discard, retry
from tests.guarantees.processes import eventually
from tests.storages import postgres, sqlite

pytestmark = pytest.mark.g7

RETRIES = 2


class Post:
    """Two streams of letters. What a handler reads it stores, unless it fails on the letter."""

    def __init__(self, url: str, on_dead_letter: str = "hold") -> None:
        self.domain = domain = Domain("post", storage=url, event_processing="async")
        self.failing: dict[str, int] = {}
        self.calls: list[str] = []
        post = self

        @domain.aggregate
        class Box(Aggregate):
            def take(self, text: str) -> None:
                self.raise_(LetterCame(text=text))

        @domain.aggregate
        class Reader(Aggregate):
            read: list[str] = List(default=list)

        @domain.event(part_of=Box)
        class LetterCame(Event):
            text: str

        @domain.on(LetterCame, retries=RETRIES, backoff=0, on_dead_letter=on_dead_letter)
        def read(event: LetterCame) -> None:
            readers = current_domain.repository_for(Reader)
            reader = readers.get("r1")
            reader.read = [*reader.read, event.text]
            readers.add(reader)
            post.calls.append(event.text)
            if post.failing.get(event.text, 0) > 0:
                post.failing[event.text] -= 1
                raise KeyError(event.text)

        self.Box: Any = Box
        self.Reader: Any = Reader
        domain.init(traverse=False)
        domain.storage.create()
        domain.repository_for(Reader).add(Reader(id="r1"))

    def send(self, *texts: str) -> None:
        """Store a letter for each text; its first character names the box."""
        boxes = self.domain.repository_for(self.Box)
        for text in texts:
            box = boxes.get(text[0]) if text[0] in boxes else self.Box(id=text[0])
            box.take(text)
            boxes.add(box)

    @property
    def read(self) -> list[str]:
        return list(self.domain.repository_for(self.Reader).get("r1").read)

    def read_of(self, box: str) -> list[str]:
        return [text for text in self.read if text[0] == box]

    def states(self) -> dict[tuple[str, int], str]:
        """Why each message waits, by stream and position."""
        waiting = self.domain.storage.deliveries()
        return {(each.stream, each.position): each.state for each in waiting}

    def dead(self) -> Delivery:
        (found,) = self.domain.storage.deliveries(state="dead")
        return found


@pytest.fixture
def post(storage_url: str) -> Iterator[Post]:
    opened = Post(storage_url)
    yield opened
    opened.domain.close()


def test_a_handler_that_fails_and_then_works_loses_nothing_and_keeps_the_order(post: Post) -> None:
    post.failing = {"a1": RETRIES, "b0": 1}
    post.send("a0", "b0", "a1", "a2", "b1", "a3", "b2")
    post.domain.catch_up()
    assert post.read_of("a") == ["a0", "a1", "a2", "a3"]
    assert post.read_of("b") == ["b0", "b1", "b2"]
    assert post.calls.count("a1") == 1 + RETRIES
    assert post.states() == {}


def test_a_handler_that_always_fails_holds_its_stream_alone(post: Post) -> None:
    post.failing = {"a1": 1_000_000}
    post.send("a0", "b0", "a1", "a2", "b1", "a3", "b2")
    post.domain.catch_up()
    assert post.read_of("a") == ["a0"]
    assert post.read_of("b") == ["b0", "b1", "b2"]
    assert post.states() == {("box-a", 1): "dead", ("box-a", 2): "held", ("box-a", 3): "held"}
    dead = post.dead()
    assert (dead.handler, dead.attempts, dead.error) == ("read", 1 + RETRIES, "KeyError: 'a1'")
    assert "raise KeyError(event.text)" in dead.traceback
    assert post.domain.catch_up() == 0
    post.send("a4", "b3")
    post.domain.catch_up()
    assert post.read_of("a") == ["a0"]
    assert post.read_of("b") == ["b0", "b1", "b2", "b3"]
    assert post.calls.count("a1") == 1 + RETRIES
    with pytest.raises(MessageError, match="dead letter of read: KeyError: 'a1'"):
        post.domain.wait_for(dead.message_id, timeout=1)


def test_retried_after_a_fix_the_dead_one_is_first_and_those_held_follow_in_order(
    post: Post,
) -> None:
    post.failing = {"a1": 1_000_000}
    post.send("a0", "a1", "a2", "a3")
    post.domain.catch_up()
    post.failing = {}
    retry(post.domain.storage, post.dead())
    post.send("a4")
    post.domain.catch_up()
    assert post.read == ["a0", "a1", "a2", "a3", "a4"]
    assert post.states() == {}


def test_one_that_fails_again_after_the_retry_is_dead_again(post: Post) -> None:
    post.failing = {"a0": 1_000_000}
    post.send("a0", "a1")
    post.domain.catch_up()
    retry(post.domain.storage, post.dead())
    post.domain.catch_up()
    assert post.states() == {("box-a", 0): "dead", ("box-a", 1): "held"}
    assert post.calls.count("a0") == 2 * (1 + RETRIES)
    assert post.read == []


def test_discarded_it_lets_its_stream_go_on_without_it(post: Post) -> None:
    post.failing = {"a1": 1_000_000}
    post.send("a0", "a1", "a2", "a3")
    post.domain.catch_up()
    discard(post.domain.storage, post.dead())
    post.domain.catch_up()
    assert post.read == ["a0", "a2", "a3"]
    assert post.states() == {}


def test_a_handler_may_ask_that_its_streams_go_on(storage_url: str) -> None:
    post = Post(storage_url, on_dead_letter="go_on")
    post.failing = {"a1": 1_000_000}
    post.send("a0", "a1", "a2", "a3")
    post.domain.catch_up()
    assert post.read == ["a0", "a2", "a3"]
    assert post.states() == {("box-a", 1): "dead"}
    post.failing = {}
    retry(post.domain.storage, post.dead())
    post.domain.catch_up()
    assert post.read == ["a0", "a2", "a3", "a1"]
    post.domain.close()


def test_a_server_sets_poison_aside_and_neither_stops_nor_spins(post: Post) -> None:
    post.failing = {"a1": 1_000_000}
    post.send("a0", "a1", "a2", "b0")
    server = Server(
        post.domain.processor,
        post.domain.subscriptions,
        poll=0.05,
        context=post.domain.domain_context,
    )
    server.start()
    try:
        eventually(lambda: post.states().get(("box-a", 1)) == "dead")
        post.send("b1")
        eventually(lambda: post.read_of("b") == ["b0", "b1"])
        tries = 4 + 1 + RETRIES  # of a0, a2, b0, b1, and of a1
        eventually(lambda: server.handled["read"] == tries)
        time.sleep(0.3)
        assert server.alive
        assert server.handled["read"] == tries
        assert server.dead == {"read": 1}
        discard(post.domain.storage, post.dead())
        eventually(lambda: post.read_of("a") == ["a0", "a2"])
    finally:
        assert server.stop(timeout=30)


# What stands in the column of a stored message instead of what should, in each storage.
DAMAGE: dict[str, tuple[str, object]] = {
    "an unknown type": ("type", "Post.Unheard.v1"),
    "a type with code": ("type", "os.system"),
    "no object": ("data", "[]"),
    "no field": ("data", "{}"),
    "a wrong field": ("data", '{"text": {"a": 1}}'),
    "another field": ("data", '{"text": "a1", "__class__": "os.system"}'),
    "headers that are no mapping": ("headers", "[1]"),
}
DAMAGE_OF_SQLITE: dict[str, tuple[str, object]] = {
    "no JSON": ("data", "{text"),
    "nothing": ("data", ""),
    "bytes": ("data", b"\xff\xfe\x00"),
    "no UTF-8": ("data as text", b"\xff\xfe"),
    "headers that are no JSON": ("headers", "{"),
    "a time that is none": ("timestamp", "yesterday"),
    "a time without a zone": ("timestamp", "2026-01-01T00:00:00"),
    "a number as its time": ("timestamp", 5),
    "claims that are no list": ("claims", "{"),
}


DAMAGE_OF_POSTGRES: dict[str, tuple[str, object]] = {
    "the end of all time": ("time", "infinity"),
    "a time before the year 1": ("time", "0044-03-15 BC"),
}


def spoil(url: str, column: str, value: object) -> None:
    """Change a column of the message at position 1 of box a, behind the storage's back."""
    is_sqlite = url.startswith("sqlite")
    table = "happened_messages" if is_sqlite else f"{url.rpartition('schema=')[2]}.messages"
    mark = "?" if is_sqlite else "%s"
    if column.endswith("as text"):
        column, mark = column.split(maxsplit=1)[0], "CAST(? AS TEXT)"
    with connected(url) as connection:
        connection.execute(
            f"UPDATE {table} SET {column} = {mark} WHERE stream = 'box-a' AND position = 1",
            (value,),
        )


DAMAGES = [
    pytest.param(storage, *how, id=f"{storage.__name__}-{what}")
    for storage, own in ((sqlite, DAMAGE_OF_SQLITE), (postgres, DAMAGE_OF_POSTGRES))
    for what, how in {**DAMAGE, **own}.items()
]


@pytest.mark.parametrize("durable_url, column, value", DAMAGES, indirect=["durable_url"])
def test_a_row_that_is_no_valid_message_is_a_dead_letter_and_the_rest_goes_on(
    durable_url: str, column: str, value: object
) -> None:
    post = Post(durable_url)
    post.send("a0", "a1", "a2", "b0")
    spoil(durable_url, column, value)
    server = Server(
        post.domain.processor,
        post.domain.subscriptions,
        poll=0.05,
        context=post.domain.domain_context,
    )
    server.start()
    try:
        eventually(lambda: post.states().get(("box-a", 1)) == "dead")
        eventually(lambda: post.read_of("b") == ["b0"])
        post.send("b1")
        eventually(lambda: post.read_of("b") == ["b0", "b1"])
        assert server.alive
    finally:
        assert server.stop(timeout=30)
    dead = post.dead()
    assert dead.error.startswith("MessageError: ")
    assert dead.message_id in dead.error or "Post." in dead.error or "os.system" in dead.error
    assert post.read_of("a") == ["a0"]
    assert post.states()["box-a", 2] == "held"
    discard(post.domain.storage, dead)
    post.domain.catch_up()
    assert post.read_of("a") == ["a0", "a2"]
    post.domain.close()
