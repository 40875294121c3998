from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from happened import current_domain
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool


# --8<-- [start:lent]
class Lent:
    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.rolled_back = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def commit(self) -> None:  # (1)!
        pass

    def close(self) -> None:
        pass

    def rollback(self) -> None:  # (2)!
        self.rolled_back = True

    def add_notice_handler(self, handler: Callable[[Any], None]) -> None:  # (3)!
        pass


# --8<-- [end:lent]
# --8<-- [start:session]
lent: ContextVar[Lent] = ContextVar("lent")


def lending_engine(url: str, **options: Any) -> Engine:
    return create_engine(
        url,
        creator=lent.get,  # (1)!
        poolclass=NullPool,  # (2)!
        pool_reset_on_return=None,
        **options,
    )


@contextmanager
def session(engine: Engine) -> Generator[Session]:
    with current_domain.unit_of_work() as unit:  # (3)!
        connection = Lent(unit.connection)
        before = lent.set(connection)
        try:
            with Session(engine) as opened:
                opened.connection()
                connection.rolled_back = False  # (4)!
                yield opened
                opened.commit()  # (5)!
        finally:
            lent.reset(before)
        if connection.rolled_back:
            raise RuntimeError("the session was rolled back; so is this handler")


# --8<-- [end:session]
