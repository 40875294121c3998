import sys

from labels import Order, shop  # type: ignore[import-not-found]

for country in sys.argv[1:]:
    order = Order(id=f"to_{country}", country=country)
    order.place()
    order.pay()
    shop.repository_for(Order).add(order)
