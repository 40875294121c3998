"""The registry: what belongs to a domain, who handles what, and every mistake in it at once."""

import functools
from abc import ABC, abstractmethod
from typing import Any

import pytest

from happened import Aggregate, Command, Entity, Event, Repository, ValueObject, handle
from happened.elements import Element, Kind, nearest
from happened.registry import Registry
from tests.unit.attempts import misconfigured, refused


def shelf() -> Any:
    """A registry, and the classes in it, new each time: a class belongs to one domain."""

    class Shelf:
        registry = Registry("shelf")

        class Book(Aggregate):
            title: str = ""

        class BookAdded(Event):
            title: str = ""

        class AddBook(Command):
            title: str = ""

        class Books:
            @handle("AddBook")
            def add(self, command: Any) -> None: ...

        class Slips:
            @handle("BookAdded")
            def print_slip(self, event: Any) -> None: ...

    registry = Shelf.registry
    registry.add("aggregate", Shelf.Book)
    registry.add("event", Shelf.BookAdded, part_of="Book")
    registry.add("command", Shelf.AddBook)
    registry.add("command handler", Shelf.Books, part_of=Shelf.Book, retries=2)
    registry.add("event handler", Shelf.Slips, part_of=Shelf.Book)
    return Shelf


def problems(registry: Registry) -> list[str]:
    found = misconfigured(registry.resolve)
    assert all(problem.startswith("domain 'shelf': ") for problem in found)
    return [problem.removeprefix("domain 'shelf': ") for problem in found]


def test_names_are_resolved_and_messages_meet_their_handlers() -> None:
    some = shelf()
    registry: Registry = some.registry
    registry.resolve()
    assert registry.resolved
    assert registry.messages == {
        "Shelf.BookAdded.v1": some.BookAdded,
        "Shelf.AddBook.v1": some.AddBook,
    }
    assert list(registry.aggregates) == [some.Book]
    reaction = registry.commands[some.AddBook]
    assert (reaction.handler.name, reaction.part_of, reaction.retries) == (
        *("Books.add", some.Book, 2),
    )
    (slips,) = registry.handlers_of(some.BookAdded())
    assert (slips.handler.name, slips.stream_category) == ("Slips.print_slip", "book")
    assert some.BookAdded._part_of is some.Book
    assert some.AddBook._part_of is some.Book
    assert [element.part_of for element in registry.elements] == [None, *[some.Book] * 4]
    assert some.BookAdded.event_type == "Shelf.BookAdded.v1"
    assert registry.of_kind("event") == [some.BookAdded]


MISTAKES = [
    (
        "aggregates Book and Volume share the stream category 'book'; give one of them "
        "stream_category="
    ),
    "aggregate Book is registered twice; once is enough",
    "event Stray: part_of: no class is named 'Bok'; did you mean 'Book'?",
    (
        "command Move: part_of=BookAdded is not an aggregate of this domain; register it with "
        "@domain.aggregate"
    ),
    "entity Page belongs to no aggregate; give it part_of=",
    "event Lost belongs to no aggregate; give it part_of=",
    (
        "BookAdded and Stray have the same name 'Shelf.BookAdded.v1'; give one of them name= "
        "or version="
    ),
    "command handler MoreBooks belongs to no aggregate; give it part_of=",
    (
        "command handler MoreBooks.add handles BookAdded, which is no command; put it into a "
        "class under @domain.event_handler"
    ),
    (
        "command handler MoreBooks.add handles Command, which is not registered; put "
        "@domain.command on it"
    ),
    (
        "event handler Wrong cannot be made without printer; a new one is made for each "
        "message, so give its __init__ no required parameters"
    ),
    ("event handler Wrong.never yields, so a call would run nothing of it; do the work and return"),
    ("event handler Wrong.print_slip: no class is named 'BokAdded'; did you mean 'BookAdded'?"),
    (
        "event handler Wrong.print_slip handles Book, which is no event; put it into a class "
        "under @domain.command_handler"
    ),
    (
        "event handler Wrong.print_slip handles AddBook, which is no event; put it into a "
        "class under @domain.command_handler"
    ),
    (
        "event handler Wrong.later reads the stream category 'copy', but BookAdded is in "
        "'book'; give it stream_category='book'"
    ),
    "event handler Empty reads no stream; give it part_of= or stream_category=",
    "event handler Empty handles nothing; mark its methods with @handle(...)",
    "repository Shelves belongs to no aggregate; give it part_of=",
    "aggregate Book has two repositories, Archive and Cellar; it has one",
    ("command AddBook has 2 handlers, Books.add and MoreBooks.add; a command has exactly one"),
    "command Move has no handler; handle it in a class under @domain.command_handler",
]


def test_every_mistake_is_reported_at_once_with_its_class_and_its_mend() -> None:
    some = shelf()
    registry: Registry = some.registry

    class Lost(Event): ...

    class Stray(Event): ...

    class Move(Command): ...

    class Page(Entity): ...

    class Volume(Aggregate): ...

    class Wrong:
        def __init__(self, printer: object, paper: object = None) -> None: ...

        @handle("BokAdded", "Book", "AddBook", Stray)
        def print_slip(self, event: Any) -> None: ...

        @handle("BookAdded")
        async def later(self, event: Any) -> None: ...

        @handle(Lost)
        def never(self, event: Any) -> Any:
            yield event

    class MoreBooks:
        @handle("AddBook", "BookAdded", Command)
        def add(self, command: Any) -> None: ...

    class Empty: ...

    registry.add("aggregate", Volume, stream_category="book")
    registry.add("event", Lost)
    registry.add("event", Stray, part_of="Bok", name="Shelf.BookAdded.v1")
    registry.add("command", Move, part_of=some.BookAdded)
    registry.add("entity", Page)
    registry.add("event handler", Wrong, stream_category="copy")
    registry.add("event handler", Empty)
    registry.add("command handler", MoreBooks)
    registry.add("repository", type("Shelves", (Repository,), {}))
    registry.add("repository", type("Archive", (Repository,), {}), part_of="Book")
    registry.add("repository", type("Cellar", (Repository,), {}), part_of="Book")
    registry.add("aggregate", some.Book)
    assert problems(registry) == MISTAKES


def test_a_mistake_can_be_mended_and_all_be_resolved_again() -> None:
    registry = Registry("shelf")

    class Lost(Event): ...

    class Book(Aggregate): ...

    registry.add("event", Lost, part_of="Book")
    for _ in range(2):
        assert problems(registry) == ["event Lost: part_of: no class is named 'Book'"]
        assert not registry.resolved
        assert (Lost._part_of, Lost._registered_in) == (None, None)
    registry.add("aggregate", Book)
    registry.resolve()
    assert Lost._part_of is Book


def test_resolving_twice_changes_nothing_and_what_is_added_later_counts() -> None:
    some = shelf()
    registry: Registry = some.registry
    registry.resolve()
    registry.resolve()
    assert len(registry.reactions) == 1
    assert len(registry.handlers_of(some.BookAdded())) == 1
    registry.add("event handler", print, messages=(some.BookAdded,))
    assert not registry.resolved
    registry.resolve()
    found = registry.handlers_of(some.BookAdded())
    assert [each.handler.name for each in found] == ["Slips.print_slip", "print"]


def test_a_class_belongs_to_one_domain() -> None:
    some = shelf()
    some.registry.resolve()
    other = Registry("shop")
    other.add("aggregate", some.Book)
    other.add("event", some.BookAdded, part_of=some.Book)
    assert misconfigured(other.resolve) == (
        *(
            (
                "domain 'shop': aggregate Book is registered in domain 'shelf' already; a class "
                "belongs to one domain"
            ),
            (
                "domain 'shop': event BookAdded is registered in domain 'shelf' already; a class "
                "belongs to one domain"
            ),
        ),
    )
    assert some.BookAdded.event_type == "Shelf.BookAdded.v1"


def test_a_name_of_several_classes_is_refused() -> None:
    registry = Registry("shelf")
    for category in ("one", "two"):
        registry.add(
            "aggregate", type("Book", (Aggregate,), {"__module__": "m"}), stream_category=category
        )
    registry.add("event", type("Lost", (Event,), {"__module__": "m"}), part_of="Book")
    assert problems(registry) == [
        "event Lost: part_of: 'Book' is the name of several classes; give the class"
    ]


@pytest.mark.parametrize("wrong", [5, object(), print, [1]], ids=["5", "object", "print", "list"])
def test_what_is_no_class_has_no_parts(wrong: Any) -> None:
    registry = Registry("shelf")
    registry.add("event", type("Lost", (Event,), {"__module__": "m"}), part_of=wrong)
    (problem,) = problems(registry)
    assert "is not an aggregate of this domain" in problem


def test_classes_complete_one_another_by_name() -> None:
    registry = Registry("shelf")

    class Book(Aggregate):
        __annotations__ = {"pages": "list[Sheet]", "price": "Coin | None"}

    class Missing(Aggregate):
        __annotations__ = {"cover": "Leather"}

    registry.add("aggregate", Book)
    registry.add("aggregate", Missing)
    assert problems(registry) == [
        "aggregate Book: name 'Sheet' is not defined",
        "aggregate Missing: name 'Leather' is not defined",
    ]
    registry.elements.pop()
    registry.add("entity", type("Sheet", (Entity,), {"__module__": "m"}), part_of=Book)
    registry.add(
        "value object",
        type("Coin", (ValueObject,), {"__module__": "m", "__annotations__": {"cents": int}}),
    )
    registry.resolve()
    made: Any = Book
    assert refused(made, price={"cents": "x"}).keys() == {"pages", "price.cents"}
    assert made(pages=[{}], price=None).pages[0].identity


def test_mistakes_in_classes_that_are_completed_late_are_reported_with_all_others() -> None:
    registry = Registry("shelf")

    class Book(Aggregate):
        __annotations__ = {"pages": "dict[str, Sheet]"}

    registry.add("aggregate", Book)
    registry.add("entity", type("Sheet", (Entity,), {"__module__": "m"}))
    assert problems(registry) == [
        "Book.pages: entities stand in a field of their own or in a list, as list[Line]",
        "entity Sheet belongs to no aggregate; give it part_of=",
    ]


# ------------------------------------------------------------------ who handles what


def test_handlers_are_called_for_subclasses_in_the_order_of_registration() -> None:
    some = shelf()
    registry: Registry = some.registry

    class AtlasAdded(some.BookAdded):  # type: ignore[misc, name-defined]
        pass

    registry.add("event", AtlasAdded, part_of=some.Book)
    for handler in (functools.partial(print, "one"), ascii):
        registry.add("event handler", handler, messages=("AtlasAdded", "BookAdded"))
    registry.add("event handler", repr, messages=(AtlasAdded,))
    registry.resolve()

    def names(event: Event) -> list[str]:
        return [each.handler.name for each in registry.handlers_of(event)]

    assert names(AtlasAdded()) == ["Slips.print_slip", "print", "ascii", "repr"]
    assert names(some.BookAdded()) == ["Slips.print_slip", "print", "ascii"]
    assert names(Event()) == []


def test_a_handler_of_all_events_reads_its_category_only() -> None:
    some = shelf()
    registry: Registry = some.registry

    class Order(Aggregate): ...

    class OrderPlaced(Event): ...

    class Log:
        @handle(Event)
        def write(self, event: Event) -> None: ...

    registry.add("aggregate", Order)
    registry.add("event", OrderPlaced, part_of=Order)
    registry.add("event handler", Log, stream_category="order")
    registry.add("event handler", print, messages=(Event,))
    registry.resolve()

    def names(event: Event) -> list[str]:
        return [each.handler.name for each in registry.handlers_of(event)]

    assert names(OrderPlaced()) == ["Log.write", "print"]
    assert names(some.BookAdded()) == ["Slips.print_slip", "print"]


def test_a_source_stream_lets_only_chains_through_that_began_there() -> None:
    some = shelf()
    registry: Registry = some.registry
    registry.add("event handler", print, messages=(some.BookAdded,), source_stream="desk")
    registry.resolve()

    def names(origin: str | None) -> list[str]:
        event = some.BookAdded()
        if origin is not None:
            event._place(origin, 0)
        return [each.handler.name for each in registry.handlers_of(event)]

    assert names("desk-1") == names("desk:command-1") == ["Slips.print_slip", "print"]
    assert names("shop-1") == names(None) == ["Slips.print_slip"]


def test_a_repository_is_known_by_its_aggregate() -> None:
    some = shelf()
    kept = type("Kept", (Repository,), {})
    some.registry.add("repository", kept, part_of="Book")
    some.registry.resolve()
    assert some.registry.repositories == {some.Book: kept}


# ------------------------------------------------------------------ registration


@pytest.mark.parametrize(
    "options, text",
    [
        ({"stream_category": "a-b"}, "cannot be a stream category"),
        ({"source_stream": "a b"}, "cannot be a stream category"),
        ({"version": 0}, "version=0; versions are whole numbers from 1"),
        ({"version": "1"}, "version='1'; versions are whole numbers from 1"),
        ({"version": True}, "version=True; versions are whole numbers from 1"),
        ({"retries": -1}, "retries=-1; retries are a whole number, 0 for none"),
        ({"retries": 1.5}, "retries=1.5; retries are a whole number, 0 for none"),
        ({"name": ""}, "name=''; the name of a message is text"),
        ({"name": 7}, "name=7; the name of a message is text"),
    ],
)
def test_a_wrong_option_is_refused_where_it_is_given(options: dict[str, Any], text: str) -> None:
    registry = Registry("shelf")
    (problem,) = misconfigured(registry.add, "event", Event, **options)
    assert problem.startswith("domain 'shelf': Event: ")
    assert text in problem
    assert registry.elements == []


def test_a_class_that_cannot_be_made_again_is_refused() -> None:
    class Money:
        __slots__ = ("cents",)

    (problem,) = misconfigured(Registry("shelf").add, "value object", Money)
    assert problem.startswith("domain 'shelf': Money cannot be made a value object: 'cents' in __s")
    assert problem.endswith("; derive it from ValueObject")


@pytest.mark.parametrize("name", ["", "Stock.reduce", "the stock", 7])
def test_the_name_of_a_handler_is_one_word(name: Any) -> None:
    class Stock: ...

    (problem,) = misconfigured(Registry("shelf").add, "event handler", Stock, name=name)
    assert problem == (
        f"domain 'shelf': Stock: name={name!r}; the name of a handler is one word, as that of a "
        "class is"
    )


@pytest.mark.parametrize(
    "kind, target, text",
    [
        ("event", print, "domain 'shelf': print is no class; an event is one"),
        ("command", print, "domain 'shelf': print is no class; a command is one"),
        (
            "entity",
            Aggregate,
            (
                "domain 'shelf': Aggregate derives from Aggregate, and so is no entity; register "
                "it with @domain.aggregate"
            ),
        ),
        (
            "aggregate",
            ValueObject,
            (
                "domain 'shelf': ValueObject derives from ValueObject, and so is no aggregate; "
                "register it with @domain.value_object"
            ),
        ),
        (
            "event",
            Command,
            (
                "domain 'shelf': Command derives from Command, and so is no event; register it "
                "with @domain.command"
            ),
        ),
        (
            "aggregate",
            type("Odd", (int,), {}),
            (
                "domain 'shelf': Odd cannot be made an aggregate: multiple bases have instance "
                "lay-out conflict; derive it from Aggregate"
            ),
        ),
    ],
    ids=range(6),
)
def test_a_class_of_another_kind_is_refused(kind: Kind, target: Any, text: str) -> None:
    assert misconfigured(Registry("shelf").add, kind, target) == (text,)


@pytest.mark.parametrize(
    "kind, base",
    [
        ("aggregate", Aggregate),
        ("entity", Entity),
        ("value object", ValueObject),
        ("event", Event),
        ("command", Command),
    ],
)
def test_a_class_without_a_base_is_given_that_of_its_kind(kind: Kind, base: type) -> None:
    class Thing:
        """What it is."""

        size: int

        def double(self) -> int:
            return self.size * 2

    made: Any = Registry("shelf").add(kind, Thing)
    assert issubclass(made, base)
    assert made(size="2").double() == 4
    assert refused(made, size="x").keys() == {"size"}
    assert (made.__name__, made.__qualname__, made.__module__, made.__doc__) == (
        *("Thing", Thing.__qualname__, __name__, "What it is."),
    )


def test_super_works_in_a_class_that_is_given_its_base() -> None:
    class Loud(ABC):
        @abstractmethod
        def shout(self) -> str:
            return "loud"

    class Thing(Loud):
        size: int

        def shout(self) -> str:
            return super().shout() + "er"

        @property
        def volume(self) -> str:
            return super().shout()

        @classmethod
        def of_all(cls) -> str:
            return super().__doc__ or "none"

        @functools.cached_property
        def cached(self) -> str:
            return super().shout() + later

        @staticmethod
        def closes_over_nothing_yet() -> str:
            return later

    made: Any = Registry("shelf").add("entity", Thing)
    later = "!"
    thing = made(size=1)
    assert (thing.shout(), thing.volume, thing.cached) == ("louder", "loud", "loud!")
    assert made.of_all()
    assert made.closes_over_nothing_yet() == "!"


@pytest.mark.parametrize(
    "name, prefix",
    [
        ("shelf", "Shelf"),
        ("book-shop", "BookShop"),
        ("book_shop 2", "BookShop2"),
        ("bücher", "Bücher"),
    ],
)
def test_messages_are_named_after_their_domain(name: str, prefix: str) -> None:
    assert Registry(name).prefix == prefix


def test_a_name_of_its_own_wins_over_that_of_the_domain() -> None:
    registry = Registry("shelf")

    class Book(Aggregate): ...

    class Named(Event):
        event_type = "book.named"

    class Versioned(Event): ...

    class Renamed(Event):
        event_type = "book.old"

    registry.add("aggregate", Book)
    registry.add("event", Named, part_of=Book)
    registry.add("event", Versioned, part_of=Book, version=3)
    registry.add("event", Renamed, part_of=Book, name="book.new", version=2)
    registry.resolve()
    assert [kind.event_type for kind in (Named, Versioned, Renamed)] == [
        *("book.named", "Shelf.Versioned.v3", "book.new")
    ]
    metadata = Renamed()._metadata
    assert (metadata.type, metadata.version) == ("book.new", 2)


def test_an_aggregate_raises_events_of_its_own_only() -> None:
    some = shelf()

    class Order(Aggregate): ...

    class Stray(Event): ...

    some.registry.add("aggregate", Order)
    some.registry.resolve()
    book = some.Book(id="b1")
    book.raise_(some.BookAdded())
    assert misconfigured(Order().raise_, some.BookAdded()) == (
        (
            "Order cannot raise BookAdded, which is part of Book; register it with "
            "@domain.event(part_of=Order)"
        ),
    )
    assert misconfigured(book.raise_, Stray()) == (
        (
            "Book cannot raise Stray, which is not registered; register it with "
            "@domain.event(part_of=Book)"
        ),
    )

    class Atlas(some.Book):  # type: ignore[misc, name-defined]
        pass

    Atlas(id="a1").raise_(some.BookAdded())
    assert [event._metadata.stream for event in book._events] == ["book-b1"]


def test_an_element_says_what_it_is() -> None:
    assert str(Element(kind="event", target=Event)) == "event Event"
    assert Element(kind="event handler", target=5).title == "5"


def test_the_nearest_name_is_suggested_if_one_is_near() -> None:
    assert nearest("storge", ["storage", "broker"]) == "; did you mean 'storage'?"
    assert nearest("colour", ["storage", "broker"]) == ""


def test_a_handler_that_is_registered_twice_is_a_mistake() -> None:
    some = shelf()
    for _ in range(2):
        some.registry.add("event handler", ascii, messages=("BookAdded",))
    assert misconfigured(some.registry.resolve)[0].startswith(
        "domain 'shelf': event handler ascii is registered twice; was its module imported under two"
    )
