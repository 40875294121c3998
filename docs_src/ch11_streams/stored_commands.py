from happened import Aggregate, Command, Domain, Event, current_domain, handle

shelf = Domain("bookshelf", command_processing="async")


@shelf.aggregate
class Order(Aggregate):
    book_id: str

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id))


@shelf.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str


@shelf.command(part_of=Order)
class PlaceOrder(Command):
    order_id: str
    book_id: str


@shelf.command_handler(part_of=Order)
class Orders:
    @handle(PlaceOrder)
    def place(self, command: PlaceOrder) -> None:
        order = Order(id=command.order_id, book_id=command.book_id)
        order.place()
        current_domain.repository_for(Order).add(order)


# --8<-- [start:run]
shelf.init()
shelf.process(PlaceOrder(order_id="o1", book_id="emma"))  # stored, not handled
print([message._metadata.stream for message in shelf.read_category()])

shelf.catch_up()  # what a server does
print(len(shelf.read_category("order:command")), "command")
print(len(shelf.read_category("order")), "event")
# --8<-- [end:run]
