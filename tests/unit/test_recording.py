"""What a recording holds, as steps, as events and as plain data."""

import functools
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from happened import Aggregate, Command, Domain, Event, current_domain, handle, record
from happened.diagrams import causation_diagram, sequence_diagram
from happened.hooks import Step
from happened.recording import Recording

shelf = Domain("shelf")


@shelf.aggregate
class Book(Aggregate):
    title: str


@shelf.command(part_of=Book)
class AddBook(Command):
    id: str
    title: str = "Emma"


@shelf.command(part_of=Book)
class PraiseBook(Command):
    id: str


@shelf.event(part_of=Book)
class BookAdded(Event):
    book_id: str


@shelf.command_handler(part_of=Book)
class Books:
    @handle(AddBook)
    def add(self, command: AddBook) -> None:
        book = Book(id=command.id, title=command.title)
        book.raise_(BookAdded(book_id=book.id))
        current_domain.repository_for(Book).add(book)

    @handle(PraiseBook)
    def praise(self, command: PraiseBook) -> None:
        raise LookupError(f"nobody praises {command.id}")


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return function(*arguments)

    return call


@shelf.on(BookAdded)
@logged
def praise_it(event: BookAdded) -> None:
    def send() -> None:
        current_domain.process(PraiseBook(id=event.book_id))

    send()


class _Counter:
    def __call__(self, event: BookAdded) -> None: ...


shelf.on(BookAdded)(_Counter())
shelf.init(traverse=False)


def run(id: str) -> Recording:
    with record(shelf) as recording, pytest.raises(LookupError):
        shelf.process(AddBook(id=id, metadata={"desk": Path("desk")}))
    return recording


def test_steps_are_kept_in_the_order_in_which_they_happened() -> None:
    recording = run("steps")
    assert [(step.kind, step.handler) for step in recording.steps] == [
        ("received", None),
        ("handling", "Books.add"),
        ("persisted", "Books.add"),
        ("handled", "Books.add"),
        ("handling", "praise_it"),
        ("received", None),
        ("handling", "Books.praise"),
        ("failed", "Books.praise"),
        ("failed", "praise_it"),
        ("handling", "_Counter"),
        ("handled", "_Counter"),
    ]
    assert recording.events == [BookAdded(book_id="steps")]
    assert recording.diagram() == sequence_diagram(recording.steps)
    assert recording.causation_diagram() == causation_diagram(recording.steps)


def test_a_recording_is_plain_data_that_names_causes_and_places() -> None:
    steps = run("plain").to_dicts()
    assert json.loads(json.dumps(steps)) == steps
    assert [step["step"] for step in steps] == list(range(11))
    command = steps[0]["message"]
    assert command["headers"] == {"desk": "desk"}
    assert (command["kind"], command["name"], command["type"]) == (
        "command",
        "AddBook",
        "Shelf.AddBook.v1",
    )
    assert command["data"] == {"id": "plain", "title": "Emma"}
    assert command["causation_id"] is None
    persisted = steps[2]
    [event] = persisted["events"]
    assert (persisted["kind"], persisted["aggregate"], persisted["stream"]) == (
        "persisted",
        "Book",
        "book-plain",
    )
    assert persisted["message"] == command
    assert (event["kind"], event["data"]) == ("event", {"book_id": "plain"})
    assert event["causation_id"] == event["correlation_id"] == command["id"]
    assert steps[4]["message"] == event
    assert [step["sent_by"] for step in steps] == [*[None] * 5, 4, *[None] * 5]
    assert steps[5]["message"]["causation_id"] == event["id"]
    error = {"name": "LookupError", "text": "nobody praises plain"}
    assert [step["error"] for step in steps] == [*[None] * 7, error, error, None, None]


def test_handlers_are_given_with_the_lines_where_they_are_written() -> None:
    steps = run("lines").to_dicts()
    for number, name, function in (
        (1, "Books.add", Books.add),
        (4, "praise_it", inspect.unwrap(praise_it)),
        (9, "_Counter", _Counter.__call__),
    ):
        lines, first = inspect.getsourcelines(function)
        assert steps[number]["handler"] == {
            "name": name,
            "file": "test_recording.py",
            "line": first,
            "last_line": first + len(lines) - 1,
        }
    assert steps[0]["handler"] is None
    nowhere = {"file": None, "line": None, "last_line": None}
    for recording, name in ((Recording(), "Books.add"), (Recording(shelf.registry), "gone")):
        recording.steps.append(Step(kind="handling", message=None, handler=name))
        [step] = recording.to_dicts()
        assert step["message"] is None
        assert step["handler"] == {"name": name, **nowhere}


def test_a_handler_that_is_not_written_in_python_has_no_lines() -> None:
    domain = Domain("counting")
    book = domain.aggregate(type("Book", (Aggregate,), {}))
    lost = domain.event(part_of=book)(type("BookLost", (Event,), {}))
    seen: list[Event] = []
    domain.on(lost)(seen.append)
    domain.init(traverse=False)
    with record(domain) as recording:
        domain.dispatch(lost())
    handler = recording.to_dicts()[1]["handler"]
    assert handler == {"name": "append", "file": None, "line": None, "last_line": None}
    assert len(seen) == 1


def test_two_runs_differ_in_ids_and_times_alone() -> None:
    def steady(recording: Recording) -> str:
        ids: dict[str, str] = {}
        text = json.dumps(recording.to_dicts())
        for step in recording.to_dicts():
            for message in [step["message"], *step["events"]]:
                ids.setdefault(message["id"], f"<{len(ids)}>")
                text = text.replace(message["timestamp"], "<time>")
        for id, name in ids.items():
            text = text.replace(id, name)
        return text

    first, second = run("same1"), run("same2")
    assert steady(first).replace("same1", "same2") == steady(second)
    assert first.diagram() == second.diagram()
    assert first.causation_diagram() == second.causation_diagram()


def test_recordings_can_be_nested_and_end_in_any_order() -> None:
    with record(shelf) as outer:
        shelf.repository_for(Book).add(Book(id="nested1", title="Emma"))
        with record(shelf) as inner, record(shelf) as same:
            shelf.repository_for(Book).add(Book(id="nested2", title="Emma"))
        shelf.repository_for(Book).add(Book(id="nested3", title="Emma"))
    shelf.repository_for(Book).add(Book(id="nested4", title="Emma"))
    assert [step.stream for step in outer.steps] == ["book-nested1", "book-nested2", "book-nested3"]
    assert [step.stream for step in inner.steps] == ["book-nested2"]
    assert inner.steps == same.steps
    first, second = record(shelf), record(shelf)
    one, two = first.__enter__(), second.__enter__()
    first.__exit__(None, None, None)
    shelf.repository_for(Book).add(Book(id="nested5", title="Emma"))
    second.__exit__(None, None, None)
    assert (len(one.steps), len(two.steps)) == (0, 1)
    assert shelf.observers == []


def test_a_block_that_raises_ends_its_recording_and_keeps_it() -> None:
    recordings: list[Recording] = []

    def fail() -> None:
        with record(shelf) as recording:
            recordings.append(recording)
            shelf.repository_for(Book).add(Book(id="raised", title="Emma"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [step.kind for step in recordings[0].steps] == ["persisted"]
    assert shelf.observers == []


def test_a_method_that_keeps_a_name_has_the_lines_where_it_is_written() -> None:
    domain = Domain("counting")

    @domain.aggregate
    class Book(Aggregate): ...

    @domain.event(part_of=Book)
    class BookLost(Event): ...

    @domain.event_handler(part_of=Book)
    class Losses:
        @handle(BookLost, name="count")
        def tally(self, event: BookLost) -> None: ...

    domain.init(traverse=False)
    with record(domain) as recording:
        domain.dispatch(BookLost())
    found = recording.to_dicts()[1]["handler"]
    assert found["name"] == "Losses.count"
    assert found["line"] == inspect.getsourcelines(Losses.tally)[1]
