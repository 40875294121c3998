from happened import Aggregate, Domain, Event

cafe = Domain("cafe")


@cafe.aggregate
class Cup(Aggregate):
    drink: str

    def fill(self, guest: str) -> None:
        self.raise_(CupFilled(guest=guest, drink=self.drink))


@cafe.event(part_of=Cup)
class CupFilled(Event):
    guest: str
    drink: str


@cafe.on(CupFilled)
def call(event: CupFilled) -> None:
    print(f"{event.guest}, your {event.drink} is ready")


cafe.init()

cup = Cup(drink="tea")
cup.fill("Ada")
print("filled, but not persisted yet")
cafe.repository_for(Cup).add(cup)
