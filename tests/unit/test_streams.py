"""The names of streams and of their categories."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from happened.streams import belongs_to, category, checked_category, snake_case, stream
from tests.unit.attempts import misconfigured


@pytest.mark.parametrize(
    "name, snake",
    [
        ("Order", "order"),
        ("PurchaseOrder", "purchase_order"),
        ("HTTPServer", "http_server"),
        ("Order2Item", "order2_item"),
        ("ISBN", "isbn"),
        ("OrderV2", "order_v2"),
        ("order", "order"),
        ("purchase_order", "purchase_order"),
        ("X", "x"),
    ],
)
def test_a_category_is_the_name_of_the_class_in_small_letters(name: str, snake: str) -> None:
    assert snake_case(name) == snake
    assert snake_case(snake) == snake


categories = st.text(min_size=1).filter(
    lambda name: "-" not in name and not any(map(str.isspace, name))
)


@given(categories, st.text())
def test_a_stream_says_its_category(name: str, id: str) -> None:
    assert category(stream(name, id)) == name
    assert stream(name, id).removeprefix(f"{name}-") == id
    assert checked_category(name, "here") == name


@pytest.mark.parametrize(
    "origin, source, belongs",
    [
        ("order-7", "order", True),
        ("order-7-8", "order", True),
        ("order", "order", True),
        ("order:command-7", "order", True),
        ("order:command-7", "order:command", True),
        ("order-7", "order:command", False),
        ("orders-7", "order", False),
        ("gift_order-7", "order", False),
        (None, "order", False),
    ],
)
def test_a_chain_belongs_to_the_category_in_which_it_began(
    origin: str | None, source: str, belongs: bool
) -> None:
    assert belongs_to(origin, source) is belongs


@pytest.mark.parametrize("name", ["", "a-b", "a b", "a\n", "-", 7, None])
def test_what_cannot_be_a_category_is_refused(name: Any) -> None:
    assert misconfigured(checked_category, name, "Order") == (
        f"Order: {name!r} cannot be a stream category; it takes text without '-' and spaces",
    )
