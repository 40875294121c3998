from happened import Aggregate, Domain, ValidationError, atomic_change, invariant
from happened.fields import Integer

shelf = Domain("bookshelf")


@shelf.aggregate
class Inventory(Aggregate):
    on_hand: int = Integer(min_value=0, default=0)
    reserved: int = Integer(min_value=0, default=0)

    @invariant
    def what_is_reserved_is_there(self) -> None:
        if self.reserved > self.on_hand:
            text = f"{self.reserved} copies are reserved, but {self.on_hand} there"
            raise ValidationError({"reserved": [text]})

    def reserve(self, copies: int) -> None:
        self.reserved += copies

    def ship(self, copies: int) -> None:
        with atomic_change(self):
            self.on_hand -= copies
            self.reserved -= copies


shelf.init()

inventory = Inventory(on_hand=4)
inventory.reserve(3)
try:
    inventory.reserve(2)
except ValidationError as error:
    print(error)

inventory.ship(2)
try:
    inventory.ship(2)
except ValidationError as error:
    print(error)
print(inventory.on_hand, "on hand,", inventory.reserved, "reserved")
