from happened import Dispatcher, Event


class OrderPlaced(Event):
    order_id: str


class CopiesReserved(Event):
    order_id: str


class OrderConfirmed(Event):
    order_id: str


class StockRanLow(Event):
    copies: int


def print_tree(
    events: list[Event], cause: str | None = None, depth: int = 0
) -> None:
    for event in events:
        if event.causation_id == cause:
            print("    " * depth + type(event).__name__)
            print_tree(events, event.event_id, depth + 1)


dispatcher = Dispatcher()
seen: list[Event] = []
dispatcher.on(Event)(seen.append)


@dispatcher.on(OrderPlaced)
def reserve_copies(event: OrderPlaced) -> None:
    dispatcher.dispatch_sync(CopiesReserved(order_id=event.order_id))
    dispatcher.dispatch_sync(StockRanLow(copies=4))


@dispatcher.on(CopiesReserved)
def confirm_order(event: CopiesReserved) -> None:
    dispatcher.dispatch_sync(OrderConfirmed(order_id=event.order_id))


dispatcher.dispatch_sync(OrderPlaced(order_id="o1"))
print_tree(seen)
