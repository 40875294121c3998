from contextvars import copy_context
from threading import Thread

from happened import Dispatcher, Event, trace


class OrderPlaced(Event):
    order_id: str


class LabelPrinted(Event):
    order_id: str


# --8<-- [start:label]
def print_label(order_id: str) -> None:
    event = LabelPrinted(order_id=order_id)
    print(f"label for {order_id}: {event.correlation_id}")


# --8<-- [end:label]
# --8<-- [start:threads]
with trace("request-20"):
    plain = Thread(target=print_label, args=("o1",))
    plain.start()
    plain.join()

    carried = Thread(target=copy_context().run, args=(print_label, "o2"))  # (!)
    carried.start()
    carried.join()
# --8<-- [end:threads]


# --8<-- [start:handler]
dispatcher = Dispatcher()


def print_label_for(event: OrderPlaced) -> None:
    with trace(event.correlation_id, event.event_id):  # (!)
        print_label(event.order_id)


@dispatcher.on(OrderPlaced)
def print_label_later(event: OrderPlaced) -> None:
    thread = Thread(target=print_label_for, args=(event,))
    thread.start()
    thread.join()


with trace("request-21"):
    dispatcher.dispatch_sync(OrderPlaced(order_id="o3"))
# --8<-- [end:handler]
