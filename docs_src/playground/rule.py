from happened import Aggregate, Domain, ValidationError, invariant
from happened.fields import Integer

theatre = Domain("theatre")


@theatre.aggregate
class Evening(Aggregate):
    seats: int = Integer(min_value=1)
    sold: int = 0

    @invariant
    def no_seat_is_sold_twice(self) -> None:
        if self.sold > self.seats:
            raise ValidationError({"sold": [f"there are {self.seats} seats"]})

    def sell(self, tickets: int) -> None:
        self.sold += tickets


theatre.init()

evening = Evening(seats=3)
evening.sell(2)
try:
    evening.sell(2)
except ValidationError as error:
    print(error)
print(evening.sold, "sold")
