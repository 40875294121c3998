"""Errors: what they say, what they know, and that they survive a copy."""

import copy
import pickle

import pytest

from happened import Aggregate, errors
from happened.errors import (
    BrokerError,
    ConcurrencyError,
    ConfigurationError,
    HappenedError,
    ImmutableError,
    MessageError,
    NotFoundError,
    StorageError,
    ValidationError,
)


class Book(Aggregate):
    title: str


EXAMPLES: list[tuple[HappenedError, str]] = [
    (ConfigurationError("no such key"), "no such key"),
    (ConfigurationError(["one", "two"]), "2 mistakes:\n  1. one\n  2. two"),
    (ValidationError({"days": ["too many"]}, "Loan"), "Loan is not valid: days: too many"),
    (
        ValidationError({"days": ["too many", "odd"], "_entity": ["late"]}),
        "not valid:\n  days: too many\n  days: odd\n  _entity: late",
    ),
    (
        NotFoundError(Book, {"title": "Emma", "id": "b1"}),
        "no Book with title='Emma' and id='b1' is stored; add it first, or check the value",
    ),
    (NotFoundError(Book, {}), "no Book is stored; add it first, or check the value"),
    (
        ConcurrencyError("book-1", expected=1, found=2),
        "book-1 is at version 2, but this change was made to version 1; get it again and repeat it",
    ),
    (
        ConcurrencyError("book-1", expected=0, found=2),
        "book-1 is already stored, at version 2; get it, and change what you get",
    ),
    (
        ConcurrencyError("book-1", expected=3, found=0),
        "book-1 was removed after it was read at version 3; get it again",
    ),
    (
        ImmutableError(Book, "title"),
        "Book.title cannot be changed: Book objects are immutable; make a new one",
    ),
    (ImmutableError(Book, "id", "it is an id"), "Book.id cannot be changed: it is an id"),
    (MessageError("cannot be read"), "cannot be read"),
    (
        MessageError("cannot be read", message_id="m1", type="Shelf.BookLent.v1"),
        "Shelf.BookLent.v1 m1: cannot be read",
    ),
    (StorageError("memory://", "it is closed"), "memory://: it is closed"),
    (BrokerError("nats://broker", "nobody answers"), "nats://broker: nobody answers"),
]


@pytest.mark.parametrize("error, text", EXAMPLES)
def test_an_error_says_what_was_found_and_what_to_do(error: HappenedError, text: str) -> None:
    assert str(error) == text


@pytest.mark.parametrize("error", [error for error, _ in EXAMPLES])
@pytest.mark.parametrize("passed_on", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_an_error_passes_to_another_process_with_all_it_knows(
    error: HappenedError, passed_on: object
) -> None:
    assert callable(passed_on)
    error.add_note("in the first process")
    received = passed_on(error)
    assert type(received) is type(error)
    assert str(received) == str(error)
    assert received.args == error.args
    assert vars(received) == vars(error)


def test_the_facts_are_attributes() -> None:
    assert ConfigurationError(iter(["one", "two"])).problems == ("one", "two")
    assert ConfigurationError("one").problems == ("one",)
    invalid = ValidationError({"days": ("too many",)}, "Loan")
    assert (invalid.messages, invalid.title) == ({"days": ["too many"]}, "Loan")
    missing = NotFoundError(Book, {"id": "b1"})
    assert (missing.type, missing.criteria) == (Book, {"id": "b1"})
    lost = ConcurrencyError("book-1", expected=1, found=2)
    assert (lost.stream, lost.expected, lost.found) == ("book-1", 1, 2)
    refused = ImmutableError(Book, "title")
    assert (refused.type, refused.field) == (Book, "title")
    unread = MessageError("cannot be read", message_id="m1", type="BookLent.v1")
    assert (unread.reason, unread.message_id, unread.type) == (
        "cannot be read",
        "m1",
        "BookLent.v1",
    )
    assert StorageError("memory://", "it is closed").storage == "memory://"
    assert BrokerError("nats://broker", "nobody answers").broker == "nats://broker"


@pytest.mark.parametrize(
    "error, parent",
    [
        (ValidationError, ValueError),
        (NotFoundError, LookupError),
        (ImmutableError, AttributeError),
        (MessageError, ValueError),
        (StorageError, OSError),
        (BrokerError, OSError),
    ],
)
def test_an_error_can_be_caught_by_its_standard_parent(
    error: type[HappenedError], parent: type[Exception]
) -> None:
    assert issubclass(error, parent)


def test_every_error_has_the_one_root() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name[0].isupper()]
    assert len(classes) == 9
    assert all(issubclass(each, HappenedError) for each in classes)


def test_what_an_error_was_given_can_change_without_changing_the_error() -> None:
    texts = ["too many"]
    error = ValidationError({"days": texts})
    texts.append("odd")
    assert error.messages == {"days": ["too many"]}
