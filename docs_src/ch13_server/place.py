import sys

from bookshop import Order, PlaceOrder, shop  # type: ignore[import-not-found]

for order_id in sys.argv[1:]:
    shop.process(PlaceOrder(order_id=order_id, book_id="emma"))
print("orders in the storage:", shop.repository_for(Order).query.count())
