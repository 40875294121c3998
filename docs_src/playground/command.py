from happened import Aggregate, Command, Domain, Event, current_domain, handle

library = Domain("library")


@library.aggregate
class Copy(Aggregate):
    title: str
    reader: str | None = None

    def lend(self, reader: str) -> None:
        if self.reader is not None:
            raise ValueError(f"{self.title} is lent to {self.reader}")
        self.reader = reader
        self.raise_(CopyLent(title=self.title, reader=reader))


@library.event(part_of=Copy)
class CopyLent(Event):
    title: str
    reader: str


@library.command(part_of=Copy)
class LendCopy(Command):
    copy_id: str
    reader: str


@library.command_handler(part_of=Copy)
class Desk:
    @handle(LendCopy)
    def lend(self, command: LendCopy) -> None:
        copies = current_domain.repository_for(Copy)
        copy = copies.get(command.copy_id)
        copy.lend(command.reader)
        copies.add(copy)


@library.on(CopyLent)
def write_card(event: CopyLent) -> None:
    print(f"{event.reader} has {event.title}")


library.init()

library.repository_for(Copy).add(Copy(id="c1", title="Emma"))
for reader in ("Ada", "Blaise"):
    try:
        library.process(LendCopy(copy_id="c1", reader=reader))
    except ValueError as error:
        print(f"not for {reader}: {error}")
