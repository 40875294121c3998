import sys

from packing import Order, shop  # type: ignore[import-not-found]

count = int(sys.argv[1]) if sys.argv[1:] else 0
for number in range(count):
    order = Order(id=f"o{number}")
    order.place()
    shop.repository_for(Order).add(order)
for stored in shop.read_category("order"):
    shop.wait_for(stored)
print("all are packed")
