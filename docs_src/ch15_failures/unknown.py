import new_release  # type: ignore[import-not-found]
import old_release  # type: ignore[import-not-found]
from happened.server import Server

# --8<-- [start:old]
new, old = new_release.shop, old_release.shop

order = new_release.Order(id="o1")
order.place()
order.wrap("red")
new.repository_for(new_release.Order).add(order)

print("the server of the old release:")
old.catch_up()
for delivery in old.storage.deliveries():
    print(delivery.handler, delivery.position, delivery.state)
    print(delivery.error)
# --8<-- [end:old]

# --8<-- [start:new]
print("the server of the new release:")
server = Server(
    new.processor, new.subscriptions, poll=0.1, context=new.domain_context
)
server.start()
new.wait_for(new.read_stream("order-o1")[1])
server.stop(timeout=5)
print(len(new.storage.deliveries()), "deliveries wait")
# --8<-- [end:new]
new.close()
old.close()
