"""Metadata: complete, read-only, plain when asked."""

import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from happened import Event, ImmutableError
from happened.metadata import NO_HEADERS, Metadata


class BookLent(Event):
    book_id: str


def test_the_metadata_of_a_new_event_say_what_is_known_of_it() -> None:
    before = datetime.now(UTC)
    metadata = BookLent(book_id="b1")._metadata
    assert tuple(metadata) == (
        *(metadata.id, "BookLent.v1", 1, metadata.timestamp, None, None, None),
        *(metadata.id, None, None, {}),
    )
    assert before <= metadata.timestamp <= datetime.now(UTC)
    assert metadata.timestamp.tzinfo is UTC
    assert metadata.headers is NO_HEADERS


@pytest.mark.parametrize("field", [*Metadata._fields, "colour"])
def test_metadata_cannot_change(field: str) -> None:
    metadata = BookLent(book_id="b1")._metadata
    before = tuple(metadata)
    with pytest.raises(ImmutableError, match=f"Metadata.{field} cannot be changed: metadata is"):
        setattr(metadata, field, "x")
    with pytest.raises(ImmutableError):
        delattr(metadata, field)
    assert tuple(metadata) == before


def test_headers_cannot_change_at_any_level() -> None:
    given: dict[str, Any] = {"shop": {"city": "Rome", "floors": [1, 2]}}
    headers: Any = BookLent(book_id="b1", metadata=given)._metadata.headers
    attacks: list[Callable[[], object]] = [
        lambda: headers.update(a=1),
        lambda: headers["shop"].update(city="Oslo"),
        lambda: headers["shop"]["floors"].append(3),
    ]
    for attack in attacks:
        with pytest.raises(ImmutableError):
            attack()
    given["shop"]["city"] = "Oslo"
    given["new"] = {}
    assert headers == {"shop": {"city": "Rome", "floors": [1, 2]}}


def test_metadata_survive_copies_and_pickling() -> None:
    metadata = BookLent(book_id="b1", metadata={"shop": "Rome"})._metadata
    received: Any
    for received in (pickle.loads(pickle.dumps(metadata)), copy.deepcopy(metadata)):
        assert received == metadata
        assert type(received) is Metadata
        headers: Any = received.headers
        with pytest.raises(ImmutableError):
            headers.update(shop="Oslo")


def test_metadata_become_plain_data() -> None:
    event = BookLent(book_id="b1", correlation_id="c", causation_id="k", metadata={"shop": "Rome"})
    metadata = event._metadata
    assert metadata.to_dict() == {
        "id": metadata.id,
        "type": "BookLent.v1",
        "version": 1,
        "timestamp": metadata.timestamp.isoformat(),
        "stream": None,
        "position": None,
        "global_position": None,
        "correlation_id": "c",
        "causation_id": "k",
        "origin_stream": None,
        "headers": {"shop": "Rome"},
    }
    assert type(metadata.to_dict()["headers"]) is dict
