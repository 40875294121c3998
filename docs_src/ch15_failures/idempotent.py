from happened import Aggregate, Command, Domain, Event, current_domain, handle
from happened.fields import Identifier
from happened.server import Server

# --8<-- [start:bank]
bank = Domain("bank")


@bank.aggregate
class Charge(Aggregate):
    key: str = Identifier(identifier=True)
    pence: int


@bank.command(part_of=Charge)
class ChargeCard(Command):
    key: str
    pence: int


@bank.command_handler(part_of=Charge)
class Charges:
    @handle(ChargeCard)
    def charge(self, command: ChargeCard) -> None:
        charges = current_domain.repository_for(Charge)
        if command.key in charges:  # (!)
            print("bank: this was charged before")
            return
        charges.add(Charge(key=command.key, pence=command.pence))
        print(f"bank: charged {command.pence} pence")


bank.init()
# --8<-- [end:bank]

shop = Domain("bookshop", event_processing="async")


@shop.aggregate
class Order(Aggregate):
    pence: int

    def place(self) -> None:
        self.raise_(OrderPlaced(order_id=self.id, pence=self.pence))


@shop.event(part_of=Order)
class OrderPlaced(Event):
    order_id: str
    pence: int


# --8<-- [start:shop]
lost_answers = ["the connection broke before the answer came"]


def call_bank(command: ChargeCard) -> None:
    bank.process(command)
    if lost_answers:
        raise ConnectionError(lost_answers.pop())


@shop.on(OrderPlaced, retries=3, backoff=0.1)
def charge_customer(event: OrderPlaced) -> None:
    print("shop: please charge", event.order_id)
    call_bank(ChargeCard(key=event.event_id, pence=event.pence))  # (!)


# --8<-- [end:shop]
shop.init()
server = Server(
    shop.processor, shop.subscriptions, poll=0.05, context=shop.domain_context
)
server.start()

order = Order(id="o1", pence=750)
order.place()
shop.repository_for(Order).add(order)

shop.wait_for(shop.read_stream("order-o1")[0])
server.stop(timeout=5)
print(bank.repository_for(Charge).query.count(), "charge")
