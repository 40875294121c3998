from typing import Any

from happened import Aggregate, Domain, Event
from pydantic import model_validator

shop = Domain("bookshop", storage="sqlite:///shop.db")


# --8<-- [start:book]
@shop.aggregate
class Book(Aggregate):
    title: str
    author: str
    pence: int
    binding: str = "paperback"

    @model_validator(mode="before")
    @classmethod
    def read_first_release(cls, data: Any) -> Any:
        match data:
            case {"writer": writer, "price": price, **others}:  # (1)!
                pence = round(float(price) * 100)
                return {"author": writer, "pence": pence, **others}
            case _:
                return data  # (2)!


# --8<-- [end:book]
# --8<-- [start:event]
@shop.event(part_of=Book)
class BookListed(Event):
    book_id: str
    author: str

    @model_validator(mode="before")
    @classmethod
    def read_first_release(cls, data: Any) -> Any:
        match data:
            case {"writer": writer, **others}:
                return {"author": writer, **others}
            case _:
                return data


# --8<-- [end:event]
shop.init()
