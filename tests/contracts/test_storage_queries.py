"""Every storage finds what `Filter.matches` says, in the order that `ranked` gives."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from happened.query import Criteria, Filter, Sort, ValueKind, ranked
from happened.storage import open_storage
from happened.testing.storage_contract.actions import document
from tests.storages import STORAGES

# SQLite's and PostgreSQL's JSON hold no NUL, and no JSON has halves of characters: nothing is found
# by them, but they can be asked for.
LETTERS = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
TEXT = st.text(st.sampled_from("\ue000\ud7ffaAbßéÉ%_\\\"'*[]{}.1 \n😀İı") | LETTERS, max_size=4)
NOWHERE = st.sampled_from(["\0", "\ud800", "a\udfff", "a\0b", "A\udbffb\0", "\ue000", "\ud7ff"])
REAL = st.floats(allow_nan=False, allow_infinity=False)
NUMBER = st.integers(-(2**53), 2**53) | REAL | st.sampled_from([0.1, 0.30000000000000004, 1e300])
NUMBERS = [NUMBER, st.integers()]
for edge in (0, 2**53, 2**63, -(2**63), 2**64, 10**25):  # around each, what is easily confused
    whole = st.integers(edge - 3, edge + 3)
    # Beyond 2**53 a float stands for one of several integers. PostgreSQL compares it by the digits
    # that are stored, the other storages by what it stands for: a field holds one or the other.
    NUMBERS += (
        [whole, st.just(float(edge))] if abs(edge) > 2**53 else [whole | st.just(float(edge))]
    )
DECIMAL = st.decimals(allow_nan=False, allow_infinity=False, places=3, max_value=10**9).map(
    str
) | st.sampled_from(["1", "1.0", "1.00", "-0", "0", "1E+2", "100", "123456789.123456789123456789"])
NEAR = st.builds(
    "2026-03-01T{:02}:00:00{}{}".format,
    st.integers(11, 13),
    st.sampled_from(["", ".000001", ".5"]),
    st.sampled_from(["", "Z", "+01:00", "-01:00"]),
)
FAR = st.datetimes().map(lambda moment: moment.isoformat()) | st.sampled_from(
    ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"]
)
OTHER = st.recursive(
    TEXT | st.integers(-3, 3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
VALUES: dict[ValueKind, list[st.SearchStrategy[Any]]] = {
    "text": [TEXT],
    "number": NUMBERS,
    "decimal": [DECIMAL],
    "boolean": [st.booleans()],
    "moment": [NEAR, FAR],
    "other": [OTHER],
}
EQUAL = ["exact", "ne", "in", "isnull"]
ORDERED = [*EQUAL, "gt", "gte", "lt", "lte"]
LOOKUPS: dict[ValueKind, list[str]] = {
    "text": [*ORDERED, "contains", "icontains", "startswith", "endswith"],
    "number": ORDERED,
    "decimal": ORDERED,
    "boolean": EQUAL,
    "moment": ORDERED,
    "other": [*EQUAL, "contains"],
}


@st.composite
def cases(draw: st.DrawFn, kind: ValueKind) -> tuple[list[dict[str, Any]], Criteria]:
    """Documents with two fields of one kind, one of them in an object, and a query for these."""
    some = draw(st.sampled_from(VALUES[kind]))
    size = 2 if kind == "boolean" else 4
    few = draw(st.lists(some, min_size=size, max_size=size))  # so that some are equal
    known = st.sampled_from([*few, None])
    inner = st.none() | st.fixed_dictionaries({}, optional={"value": known})
    fields = st.fixed_dictionaries({"value": known, "place": inner})
    documents = draw(st.lists(fields, min_size=3, max_size=8))
    paths = st.sampled_from([("value",), ("value",), ("place", "value")])
    filters = []
    for lookup in draw(st.lists(st.sampled_from(LOOKUPS[kind]), max_size=2)):
        value: Any = draw(known)
        if lookup == "isnull":
            value = draw(st.booleans())
        elif lookup == "in":
            value = draw(st.lists(known, max_size=3))
        elif kind == "text" and value:
            start, end = sorted(draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
            value = draw(st.sampled_from([value, value[start:end], value.swapcase()]))
        if lookup != "isnull" and kind in ("text", "other") and draw(st.integers(0, 4)) == 0:
            value = draw(NOWHERE)
            value = (
                [value] if lookup == "in" or (kind == "other" and draw(st.booleans())) else value
            )
        filters.append(Filter(draw(paths), lookup, value, kind))
    sorts: list[Sort] = []
    if kind != "other":
        made = st.builds(Sort, paths, st.booleans(), st.just(kind))
        sorts = draw(st.lists(made, max_size=2))
    offset = draw(st.sampled_from([0, 0, 0, 1]))
    limit = draw(st.sampled_from([None, None, None, 0, 3]))
    return documents, Criteria(tuple(filters), tuple(sorts), offset, limit)


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("address", STORAGES, ids=lambda address: str(address.__name__))
def test_a_query_finds_what_its_meaning_says(
    address: Callable[[Path], str], kind: ValueKind, tmp_path: Path
) -> None:
    storage = open_storage(address(tmp_path))
    categories = itertools.count()

    @settings(max_examples=150, deadline=None)
    @given(cases(kind))
    def compare(case: tuple[list[dict[str, Any]], Criteria]) -> None:
        documents, criteria = case
        category = f"book{next(categories)}"
        places = [
            place
            for place, data in enumerate(documents)
            if all(each.matches(data) for each in criteria.filters)
        ]
        order = ranked([documents[place] for place in places], criteria.sorts)
        end = None if criteria.limit is None else criteria.offset + criteria.limit
        ids = [f"b{places[index]}" for index in order]
        expected = (ids[criteria.offset : end], len(places))
        transaction = storage.begin()
        for place, data in enumerate(documents):
            saved = document(f"b{place}", data=json.dumps(data).encode())
            transaction.save(category, saved, expected=0)
        page = transaction.find(category, criteria)
        assert ([each.id for each in page.items], page.total) == expected, "before the commit"
        transaction.commit()
        reader = storage.begin()
        page = reader.find(category, criteria)
        reader.rollback()
        assert ([each.id for each in page.items], page.total) == expected

    compare()
    storage.close()
