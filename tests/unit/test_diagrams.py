"""What drawings of domains and of recorded runs show."""

from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConfigurationError,
    Domain,
    Event,
    current_domain,
    handle,
    record,
    trace,
)
from happened.diagrams import (
    causation_diagram,
    domain_diagram,
    domain_diagrams,
    senders,
    sequence_diagram,
)
from happened.hooks import Step
from happened.messages import Message

shop = Domain("shop")


@shop.aggregate
class Order(Aggregate):
    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shop.aggregate
class Inventory(Aggregate):
    pass


@shop.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str = "o1"


@shop.command(part_of=Order)
class CancelOrder(Command):
    order_id: str = "o1"


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shop.event(part_of=Order)
class OrderCancelled(Event):
    pass


@shop.event(part_of=Inventory)
class StockReduced(Event):
    pass


@shop.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(id=command.order_id)
        order.place()
        current_domain.repository_for(Order).add(order)

    @handle(CancelOrder)
    def cancel(self, command: CancelOrder) -> None:
        raise LookupError(command.order_id)


@shop.event_handler(part_of=Inventory, stream_category="order")
class Stock:
    @handle(OrderPlaced)
    def reduce(self, event: OrderPlaced) -> None:
        inventory = Inventory(id=f"{event.order_id}-stock")
        inventory.raise_(StockReduced())
        inventory.raise_(StockReduced())
        current_domain.repository_for(Inventory).add(inventory)


@shop.event_handler(part_of=Order)
class Mail:
    @handle(OrderPlaced, OrderCancelled)
    def send(self, event: OrderPlaced) -> None:
        raise ConnectionError("no mail")


@shop.on(StockReduced)
def cancel_order(event: StockReduced) -> None:
    current_domain.process(CancelOrder())


shop.init(traverse=False)


def lines(diagram: str) -> list[str]:
    """The lines of a drawing below the first, without their margin."""
    return [line.strip() for line in diagram.splitlines()[1:]]


# ------------------------------------------------------------------------------- the domain


def test_a_domain_is_drawn_from_commands_to_handlers_of_events() -> None:
    assert domain_diagram(shop) == "\n".join(
        [
            "flowchart TB",
            '    c1[/"PlaceOrder"/]:::command',
            '    h1["Orders.place"]:::handler',
            '    a1[["Order"]]:::aggregate',
            '    c2[/"CancelOrder"/]:::command',
            '    h2["Orders.cancel"]:::handler',
            '    a2[["Inventory"]]:::aggregate',
            '    e1(["OrderPlaced"]):::event',
            '    h3["Stock.reduce"]:::handler',
            '    h4["Mail.send"]:::handler',
            '    e2(["OrderCancelled"]):::event',
            '    e3(["StockReduced"]):::event',
            '    h5["cancel_order"]:::handler',
            "    c1 --> h1",
            "    h1 --> a1",
            "    c2 --> h2",
            "    h2 --> a1",
            "    a1 --> e1",
            "    e1 --> h3",
            "    h3 --> a2",
            "    e1 --> h4",
            "    a1 --> e2",
            "    e2 --> h4",
            "    a2 --> e3",
            "    e3 --> h5",
        ]
    )


@pytest.mark.parametrize("wanted", [Inventory, "Inventory"], ids=["class", "name"])
def test_one_aggregate_is_drawn_with_its_neighbours(wanted: type[Aggregate] | str) -> None:
    assert domain_diagram(shop.registry, wanted, direction="LR") == "\n".join(
        [
            "flowchart LR",
            '    a1[["Inventory"]]:::aggregate',
            '    a2[["Order"]]:::aggregate',
            '    e1(["OrderPlaced"]):::event',
            '    h1["Stock.reduce"]:::handler',
            '    e2(["StockReduced"]):::event',
            '    h2["cancel_order"]:::handler',
            "    a2 --> e1",
            "    e1 --> h1",
            "    h1 --> a1",
            "    a1 --> e2",
            "    e2 --> h2",
        ]
    )


def test_a_large_domain_is_drawn_aggregate_by_aggregate() -> None:
    assert domain_diagrams(shop, limit=12) == {"shop": domain_diagram(shop)}
    assert domain_diagrams(shop, limit=11, direction="LR") == {
        "Order": domain_diagram(shop, Order, direction="LR"),
        "Inventory": domain_diagram(shop, Inventory, direction="LR"),
    }


def test_aggregates_of_one_name_are_told_apart_by_their_modules() -> None:
    both = Domain("both")
    first = both.aggregate(type("Item", (Aggregate,), {"__module__": "one"}))
    second = both.aggregate(stream_category="other")(
        type("Item", (Aggregate,), {"__module__": "two"})
    )
    both.init(traverse=False)
    assert list(domain_diagrams(both, limit=1)) == ["one.Item", "two.Item"]
    assert domain_diagram(both, first) == domain_diagram(both, "one.Item")
    assert domain_diagram(both).count('[["Item"]]') == 2
    assert domain_diagram(both, second).count('[["Item"]]') == 1


def test_a_handler_of_all_events_is_drawn_for_those_of_its_category() -> None:
    audited = Domain("audited")
    book, reader = (audited.aggregate(type(name, (Aggregate,), {})) for name in ("Book", "Reader"))
    for part_of, name in ((book, "BookAdded"), (reader, "ReaderJoined")):
        audited.event(part_of=part_of)(type(name, (Event,), {}))

    @audited.event_handler(part_of=book)
    class Audit:
        @handle(Event)
        def note(self, event: Event) -> None: ...

    @audited.on(Event)
    def count(event: Event) -> None: ...

    audited.init(traverse=False)
    arrows = [line for line in lines(domain_diagram(audited)) if line.startswith("e")]
    assert arrows == [
        'e1(["BookAdded"]):::event',
        'e2(["ReaderJoined"]):::event',
        "e1 --> h1",
        "e1 --> h2",
        "e2 --> h2",
    ]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ConfigurationError) as refused:
        domain_diagram(Domain("late"))
    assert str(refused.value) == "domain 'late' is not ready; call init() before it is drawn"
    with pytest.raises(ConfigurationError) as refused:
        domain_diagram(shop, "Ordr")
    assert str(refused.value) == "domain 'shop' has no aggregate 'Ordr'; did you mean 'Order'?"
    with pytest.raises(ConfigurationError) as refused:
        domain_diagram(shop, type("Reader", (Aggregate,), {}))
    assert str(refused.value) == (
        "domain 'shop' has no aggregate 'Reader'; it has Order, Inventory"
    )
    empty = Domain("empty")
    empty.init(traverse=False)
    assert domain_diagram(empty) == "flowchart TB"
    with pytest.raises(ConfigurationError) as refused:
        domain_diagram(empty, "Order")
    assert str(refused.value) == "domain 'empty' has no aggregate 'Order'; it has none"


# ------------------------------------------------------------------------------- recorded runs


def test_a_run_is_drawn_in_the_order_in_which_it_happened() -> None:
    with record(shop) as recording, pytest.raises(ExceptionGroup):
        shop.process(PlaceOrder(order_id="drawn"))
    assert recording.diagram() == sequence_diagram(recording.steps)
    assert recording.diagram() == "\n".join(
        [
            "sequenceDiagram",
            "    actor p1 as caller",
            "    participant p2 as Orders",
            "    participant p3 as Order",
            "    participant p4 as Stock",
            "    participant p5 as Inventory",
            "    participant p6 as Mail",
            "    participant p7 as cancel_order",
            "    p1->>p2: PlaceOrder",
            "    p2->>p3: persist",
            "    Note over p3: OrderPlaced",
            "    p3--)p4: OrderPlaced",
            "    p4->>p5: persist",
            "    Note over p5: StockReduced<br/>StockReduced",
            "    p3--)p6: OrderPlaced",
            "    p6-xp6: ConnectionError",
            "    p5--)p7: StockReduced",
            "    p7->>p2: CancelOrder",
            "    p2-xp7: LookupError",
            "    p7-xp7: LookupError",
            "    p5--)p7: StockReduced",
            "    p7->>p2: CancelOrder",
            "    p2-xp7: LookupError",
            "    p7-xp7: LookupError",
        ]
    )
    assert causation_diagram(recording.steps) == "\n".join(
        [
            "flowchart TB",
            '    subgraph b1["correlation id of PlaceOrder"]',
            "        direction TB",
            '        c1[/"PlaceOrder"/]:::command',
            '        e1(["OrderPlaced"]):::event',
            '        e2(["StockReduced"]):::event',
            '        e3(["StockReduced"]):::event',
            '        c2[/"CancelOrder"/]:::command',
            '        c3[/"CancelOrder"/]:::command',
            "    end",
            '    c1 -->|"Orders.place"| e1',
            '    e1 -->|"Stock.reduce"| e2',
            '    e1 -->|"Stock.reduce"| e3',
            '    e2 -->|"cancel_order"| c2',
            '    e3 -->|"cancel_order"| c3',
        ]
    )


def step(kind: str, message: Message | None, handler: str | None = None, **more: Any) -> Step:
    return Step(kind=kind, message=message, handler=handler, **more)  # type: ignore[arg-type]


def test_what_comes_from_outside_is_drawn_from_the_caller() -> None:
    placed, cancelled = OrderPlaced(order_id="o1"), OrderCancelled()
    steps = [
        step("persisted", None, aggregate=Order, stream="order-o1", events=(placed,)),
        step("handling", placed, "Mail.send"),
        step("handled", placed, "Mail.send"),
        step("persisted", None, aggregate=Order, stream="order-o1"),
        step("received", cancelled),
        step("handling", cancelled, "Mail.send"),
        step("handled", cancelled, "Mail.send"),
    ]
    assert lines(sequence_diagram(steps)) == [
        "actor p1 as caller",
        "participant p2 as Order",
        "participant p3 as Mail",
        "p1->>p2: persist",
        "Note over p2: OrderPlaced",
        "p2--)p3: OrderPlaced",
        "p1->>p2: persist",
        "p1--)p3: OrderCancelled",
    ]


def test_an_event_that_nobody_handles_is_a_note() -> None:
    assert lines(sequence_diagram([step("received", OrderCancelled())])) == [
        "actor p1 as caller",
        "Note over p1: OrderCancelled, no handler",
    ]


def test_a_command_that_is_tried_again_fails_to_its_sender_only_in_the_end() -> None:
    command = PlaceOrder()
    again = [
        step("handling", command, "Orders.place"),
        step("failed", command, "Orders.place", error=TimeoutError()),
    ]
    assert lines(sequence_diagram([step("received", command), *again, *again]))[2:] == [
        "p1->>p2: PlaceOrder",
        "p2-xp2: TimeoutError",
        "p2->>p2: PlaceOrder, again",
        "p2-xp1: TimeoutError",
    ]


def test_a_recording_that_begins_and_ends_in_the_middle_is_drawn() -> None:
    first, second, event = PlaceOrder(), CancelOrder(), StockReduced()
    steps = [
        step("handled", first, "Orders.place"),
        step("persisted", first, "Orders.place", aggregate=None, events=(event,)),
        step("failed", second, "Orders.cancel", error=LookupError()),
        step("handling", StockReduced(), "count"),
    ]
    assert lines(sequence_diagram(steps)) == [
        "participant p1 as Orders",
        "participant p2 as aggregate",
        "actor p3 as caller",
        "participant p4 as count",
        "p1->>p2: persist",
        "Note over p2: StockReduced",
        "p1-xp3: LookupError",
        "p3--)p4: StockReduced",
    ]


def test_a_message_is_sent_by_the_call_that_handles_its_cause() -> None:
    outer, inner = PlaceOrder(), CancelOrder()
    calls = [step("handling", outer, "Orders.place"), step("handling", inner, "Orders.cancel")]
    with trace("chain", outer._metadata.id):
        caused = StockReduced()
    made_before = StockReduced()
    ended = step("handled", inner, "Orders.cancel")
    steps = [
        *calls,
        step("received", caused),
        step("received", made_before),
        ended,
        step("received", made_before),
    ]
    assert senders(steps) == [None, None, calls[0], calls[1], None, calls[0]]


def test_each_correlation_is_a_box_also_where_chains_began_alike() -> None:
    with trace("request-17", "elsewhere"):
        foreign = StockReduced()
    steps = [
        step("received", message) for message in (PlaceOrder(), PlaceOrder(), foreign, foreign)
    ]
    assert lines(causation_diagram(steps)) == [
        'subgraph b1["correlation id of PlaceOrder"]',
        "direction TB",
        'c1[/"PlaceOrder"/]:::command',
        "end",
        'subgraph b2["correlation id of PlaceOrder"]',
        "direction TB",
        'c2[/"PlaceOrder"/]:::command',
        "end",
        'subgraph b3["correlation id request#45;17"]',
        "direction TB",
        'e1(["StockReduced"]):::event',
        "end",
    ]
