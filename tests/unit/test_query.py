"""Which queries are refused, and what the errors say."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from happened import Aggregate, Domain, ValidationError, ValueObject
from happened.query import Criteria, Filter, Page, Query

domain = Domain("shop")


@domain.value_object
class Address(ValueObject):
    city: str


@domain.aggregate
class Order(Aggregate):
    status: str
    total: int = 0
    price: Decimal = Decimal(0)
    paid: bool = False
    placed_at: dt.datetime | None = None
    address: Address | None = None
    tags: list[str] | None = None
    mixed: int | str = 0
    length: dt.timedelta | None = None


def ran(criteria: Criteria) -> Page[Order]:
    raise AssertionError("a query that is refused is not run")


QUERY = Query(Order, ran)
LOOKUPS = (
    "; lookups: contains, endswith, exact, gt, gte, icontains, in, isnull, lt, lte, ne, startswith"
)


def refusal(**conditions: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        QUERY.filter(**conditions)
    assert caught.value.title == "query of Order"
    ((name, (text,)),) = caught.value.messages.items()
    assert [name] == list(conditions)
    return text


@pytest.mark.parametrize(
    "condition,text",
    [
        ("stats", "Order has no field 'stats'; did you mean 'status'?"),
        ("xyz", "Order has no field 'xyz'"),
        ("address__cty", "Address has no field 'cty'; did you mean 'city'?"),
        ("total__gtee", "Order.total has no lookup 'gtee'; did you mean 'gte'?"),
        ("status__city", f"Order.status has no lookup 'city'{LOOKUPS}"),
        ("tags__zzz", f"Order.tags has no lookup 'zzz'{LOOKUPS}"),
    ],
)
def test_an_unknown_field_is_named_with_the_nearest_one(condition: str, text: str) -> None:
    assert refusal(**{condition: 1}) == text
    with pytest.raises(ValidationError) as caught:
        QUERY.order_by(f"-{condition}")
    assert caught.value.messages == {f"-{condition}": [text]}


@pytest.mark.parametrize(
    "condition",
    [
        *("total__contains", "total__startswith", "price__icontains", "placed_at__endswith"),
        *("paid__gt", "paid__contains", "tags__gt", "tags__startswith", "address__lt"),
        *("mixed__gte", "mixed__startswith", "length__lt"),
    ],
)
def test_a_lookup_that_does_not_fit_the_field_is_refused_with_those_that_do(condition: str) -> None:
    field, _, lookup = condition.partition("__")
    text = refusal(**{condition: "1"})
    assert text.startswith(f"{lookup!r} does not fit this field; use one of ")
    assert "exact" in text
    QUERY.filter(**{f"{field}__isnull": True})


@pytest.mark.parametrize(
    "condition,value,expected",
    [
        ("total", "10", "a number"),
        ("total", True, "a number"),
        ("total__gte", "10", "a number"),
        ("total__in", [1, "2"], "a list, each a number"),
        ("total__in", 1, "a list, each a number"),
        ("status__in", "abc", "a list, each text"),
        ("status__in", None, "a list, each text"),
        ("status", 1.5, "text"),
        ("status", True, "text"),
        ("status__contains", ["a"], "text"),
        ("price__lt", "much", "a decimal number"),
        ("price", True, "a decimal number"),
        ("paid", 1, "true or false"),
        ("paid__isnull", "no", "true or false"),
        ("status__isnull", None, "true or false"),
        ("placed_at__gt", "soon", "a moment"),
        ("placed_at__gt", 5, "a moment"),
        ("placed_at__in", ["soon"], "a list, each a moment"),
        ("status", b"\xff", "text"),
        ("tags", object(), "plain data"),
        ("address", object(), "plain data"),
    ],
)
def test_a_value_that_does_not_fit_the_field_is_refused(
    condition: str, value: Any, expected: str
) -> None:
    assert refusal(**{condition: value}) == f"expected {expected}, found {value!r}"


@pytest.mark.parametrize("field", ["tags", "address", "mixed", "length"])
def test_a_field_without_an_order_is_refused(field: str) -> None:
    with pytest.raises(ValidationError, match="its values have no order"):
        QUERY.order_by("status", field)


@pytest.mark.parametrize(
    "condition,value,reason",
    [
        ("price", Decimal("1E+131072"), "before the decimal point"),
        ("price__gt", Decimal("1E-16384"), "16383 after it"),
        ("price__in", [Decimal(1), Decimal("1E+200000")], "before the decimal point"),
        ("price__lt", 10**4300, "at most 4300 digits"),
        ("total", 10**4300, "at most 4300 digits"),
        ("total__in", [-(10**4300)], "at most 4300 digits"),
        ("price__gt", Decimal("NaN"), "found Decimal('NaN')"),
    ],
    ids=range(7),
)
def test_a_number_that_no_storage_can_compare_is_refused(
    condition: str, value: object, reason: str
) -> None:
    assert reason in refusal(**{condition: value})
    QUERY.filter(price=Decimal("1E+131071"), price__gt=Decimal("1E-16383"))


@pytest.mark.parametrize("count", [-1, 1.5, "3", None, True])
def test_an_offset_or_limit_that_is_no_number_from_0_is_refused(count: Any) -> None:
    for name, method in (("offset", QUERY.offset), ("limit", QUERY.limit)):
        with pytest.raises(ValidationError) as caught:
            method(count)
        assert list(caught.value.messages) == [name]
        assert repr(count) in caught.value.messages[name][0]


def test_a_query_is_not_run_before_its_results_are_asked_for() -> None:
    query = QUERY.filter(status="NEW").order_by("total").offset(1).limit(2)
    with pytest.raises(AssertionError, match="not run"):
        query.all()


def test_a_page_is_read_like_a_list() -> None:
    page = Page(items=["a", "b"], total=7)
    assert (list(page), len(page), page.total) == (["a", "b"], 2, 7)


@pytest.mark.parametrize("lookup,expected", [("contains", False), ("ne", True), ("exact", False)])
def test_what_was_stored_in_an_older_form_matches_as_if_absent(lookup: str, expected: bool) -> None:
    """A path that leads through what is no value object leads nowhere."""
    assert Filter(("address", "city"), lookup, "Rome", "text").matches({"address": 3}) is expected
    assert Filter(("tags",), lookup, "Rome", "other").matches({"tags": 3}) is expected


@pytest.mark.parametrize("lookup,wanted", [("exact", 0), ("in", [0]), ("exact", [1, 0])])
def test_true_and_false_are_no_numbers(lookup: str, wanted: object) -> None:
    """In Python ``False == 0``; in JSON, which databases compare, it is not."""
    for found, equal in ((0, True), (0.0, True), (False, False)):
        data = {"value": [1, found] if type(wanted) is list and lookup == "exact" else found}
        assert Filter(("value",), lookup, wanted, "other").matches(data) is equal
    assert not Filter(("value",), "contains", 1, "other").matches({"value": [True]})
    assert Filter(("value",), "contains", True, "other").matches({"value": [{}, True]})
    nested = Filter(("value",), "ne", {"a": 1}, "other")
    assert nested.matches({"value": {"a": True}})


@pytest.mark.parametrize("found", [[], [Order(status="NEW")]], ids=["nothing", "one"])
def test_the_truth_of_a_query_is_one_statement_that_looks_for_one(found: list[Order]) -> None:
    asked: list[Criteria] = []

    def run(criteria: Criteria) -> Page[Order]:
        asked.append(criteria)
        return Page(found, len(found))

    query = Query(Order, run).filter(status="NEW").order_by("total")
    assert bool(query) is bool(found)
    assert [(each.limit, each.sorts) for each in asked] == [(1, ())]
    assert list(query) == found
    assert len(asked) == 2
