"""Projections: how they are registered, which events their handlers read, and what is refused."""

from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConfigurationError,
    Domain,
    Entity,
    Event,
    Projection,
    Repository,
    current_domain,
    handle,
)
from happened.replay import categories_of, projection_named
from tests.unit.attempts import misconfigured


def shelf() -> Any:
    """A domain with two aggregates and a projection, new each time."""

    class Shelf:
        domain = Domain("shelf")

        class Book(Aggregate):
            title: str = ""

        class Order(Aggregate):
            copies: int = 1

        class BookAdded(Event):
            title: str

        class OrderPlaced(Event):
            title: str
            copies: int

        class Bestseller(Projection):
            sold: int = 0

        class Bestsellers:
            @handle("BookAdded")
            def name(self, event: Any) -> None:
                current_domain.repository_for(Shelf.Bestseller).add(
                    Shelf.Bestseller(id=event.title)
                )

            @handle("OrderPlaced")
            def count(self, event: Any) -> None:
                bestsellers = current_domain.repository_for(Shelf.Bestseller)
                bestseller = bestsellers[event.title]
                bestseller.sold += event.copies
                bestsellers.add(bestseller)

        class Cover(Entity):
            colour: str = ""

        class Rename(Command):
            title: str = ""

        class Renaming:
            @handle("Rename")
            def rename(self, command: Any) -> None: ...

    domain = Shelf.domain
    domain.aggregate(Shelf.Book)
    domain.aggregate(Shelf.Order)
    domain.event(part_of=Shelf.Book)(Shelf.BookAdded)
    domain.event(part_of=Shelf.Order)(Shelf.OrderPlaced)
    domain.projection(Shelf.Bestseller)
    return Shelf


def ready() -> Any:
    made = shelf()
    made.domain.event_handler(part_of=made.Bestseller)(made.Bestsellers)
    made.domain.init(traverse=False)
    return made


def raised(made: Any, kind: Any, event: Event) -> None:
    aggregate = kind()
    aggregate.raise_(event)
    made.domain.repository_for(kind).add(aggregate)


def test_handlers_of_a_projection_read_the_categories_of_their_events() -> None:
    made = ready()
    assert [each.categories for each in made.domain.subscriptions] == [("book", "order")]
    raised(made, made.Book, made.BookAdded(title="Emma"))
    raised(made, made.Order, made.OrderPlaced(title="Emma", copies=3))
    assert made.domain.repository_for(made.Bestseller)["Emma"].sold == 3


def test_a_projection_is_queried_as_an_aggregate_is() -> None:
    made = ready()
    bestsellers = made.domain.repository_for(made.Bestseller)
    for title, sold in (("Emma", 3), ("Persuasion", 5), ("Sanditon", 1)):
        bestsellers.add(made.Bestseller(id=title, sold=sold))
    best = bestsellers.query.filter(sold__gte=2).order_by("-sold").limit(1).all()
    assert [each.id for each in best] == ["Persuasion"]
    assert best.total == 2


def test_the_decorator_adds_the_base() -> None:
    domain = Domain("shelf")

    @domain.projection
    class Bestseller:
        sold: int = 0

    @domain.projection(stream_category="lent")
    class Loans:
        times: int = 0

    kinds: list[Any] = [Bestseller, Loans]
    assert [issubclass(each, Projection) for each in kinds] == [True, True]
    domain.init(traverse=False)
    assert [categories_of(each) for each in kinds] == [
        ("bestseller", "bestseller~rebuild"),
        ("lent", "lent~rebuild"),
    ]


def test_an_aggregate_has_no_second_category() -> None:
    assert categories_of(shelf().Book) == ("book",)


def test_a_projection_raises_no_events() -> None:
    made = ready()
    with pytest.raises(ConfigurationError) as error:
        made.Bestseller(id="Emma").raise_(made.BookAdded(title="Emma"))
    assert error.value.problems == (
        "Bestseller is a projection, which raises no events; raise BookAdded in an aggregate",
    )


def test_a_projection_may_have_a_repository_of_its_own() -> None:
    made = shelf()

    @made.domain.repository(part_of=made.Bestseller)
    class Charts(Repository[Any]):
        def top(self) -> Any:
            return self.query.order_by("-sold").first()

    made.domain.init(traverse=False)
    charts: Any = made.domain.repository_for(Charts)
    charts.add(made.Bestseller(id="Emma", sold=3))
    charts.add(made.Bestseller(id="Persuasion", sold=5))
    assert charts.top().id == "Persuasion"


@pytest.mark.parametrize(
    "register, name, title",
    [
        ("event", "BookLost", "event BookLost"),
        ("command", "Rename", "command Rename"),
        ("command_handler", "Renaming", "command handler Renaming"),
        ("entity", "Cover", "entity Cover"),
    ],
)
def test_what_changes_something_is_part_of_an_aggregate(
    register: str, name: str, title: str
) -> None:
    made = shelf()

    class BookLost(Event): ...

    target = BookLost if name == "BookLost" else getattr(made, name)
    getattr(made.domain, register)(part_of=made.Bestseller)(target)
    if name == "Renaming":
        made.domain.command(part_of=made.Book)(made.Rename)
    problems = misconfigured(made.domain.init, traverse=False)
    expected = (
        f"domain 'shelf': {title}: part_of=Bestseller is a projection, which changes only in "
        "event handlers; give it an aggregate"
    )
    assert expected in problems


def test_a_handler_that_names_a_category_reads_that_alone() -> None:
    made = shelf()
    options = {"part_of": made.Bestseller, "stream_category": "book"}
    made.domain.event_handler(**options)(made.Bestsellers)
    assert misconfigured(made.domain.init, traverse=False) == (
        (
            "domain 'shelf': event handler Bestsellers.count reads the stream category 'book', but "
            "OrderPlaced is in 'order'; give it stream_category='order'"
        ),
    )


def test_a_projection_has_a_category_of_its_own() -> None:
    made = shelf()

    @made.domain.projection(stream_category="book")
    class Lent(Projection): ...

    assert misconfigured(made.domain.init, traverse=False) == (
        (
            "domain 'shelf': aggregates Book and Lent share the stream category 'book'; "
            "give one of them stream_category="
        ),
    )


def test_a_projection_is_registered_once() -> None:
    made = shelf()
    made.domain.projection(made.Bestseller)
    assert misconfigured(made.domain.init, traverse=False) == (
        "domain 'shelf': projection Bestseller is registered twice; once is enough",
    )


def test_a_projection_is_found_by_its_class_or_its_name() -> None:
    made = ready()
    for wanted in (made.Bestseller, "Bestseller"):
        assert projection_named(made.domain.registry, wanted) is made.Bestseller


@pytest.mark.parametrize(
    "wanted, text",
    [
        (
            "Bestsellers",
            "domain 'shelf' has no projection 'Bestsellers'; did you mean 'Bestseller'?",
        ),
        ("Xyz", "domain 'shelf' has no projection 'Xyz'; it has Bestseller"),
        ("Book", "domain 'shelf' has no projection 'Book'; it has Bestseller"),
        (int, "domain 'shelf' has no projection 'int'; it has Bestseller"),
    ],
)
def test_what_is_no_projection_is_not_rebuilt(wanted: Any, text: str) -> None:
    assert misconfigured(ready().domain.rebuild, wanted) == (text,)


def test_a_domain_without_projections_says_so() -> None:
    domain = Domain("shelf")
    domain.init(traverse=False)
    assert misconfigured(domain.rebuild, "Bestseller") == (
        "domain 'shelf' has no projection 'Bestseller'; it has none",
    )


def test_a_projection_without_handlers_is_not_rebuilt() -> None:
    made = shelf()
    made.domain.init(traverse=False)
    assert misconfigured(made.domain.rebuild, made.Bestseller) == (
        (
            "domain 'shelf': no event handler is a part of Bestseller; register one with "
            "@domain.event_handler(part_of=Bestseller)"
        ),
    )


def test_nothing_is_rebuilt_before_init() -> None:
    made = shelf()
    assert misconfigured(made.domain.rebuild, made.Bestseller) == (
        "domain 'shelf' is not ready; call init() once everything is registered",
    )
