import asyncio

from happened import Dispatcher, Event


class DoorOpened(Event):
    room: str


dispatcher = Dispatcher()
visits: list[str] = []


@dispatcher.on(DoorOpened)
def note_visit(event: DoorOpened) -> None:
    visits.append(event.room)


@dispatcher.on(DoorOpened)
async def switch_on_light(event: DoorOpened) -> None:
    print(f"light on in the {event.room}")


async def main() -> None:
    await dispatcher.dispatch(DoorOpened(room="kitchen"))
    await dispatcher.dispatch(DoorOpened(room="hall"))


asyncio.run(main())
print("visited:", ", ".join(visits))
