"""Layer 6. Queries in the words of SQLite; a part of the adapter `sqlite`.

What compares alike in SQLite and in Python becomes plain SQL, which can use indexes: text, whole
numbers, true and false. All else asks functions of Python that each connection gets: moments,
decimals, numbers with a fraction or beyond 64 bits.
"""

# ruff: noqa: S608
# Statements are put together from names and parameters, never from values.

import json
import math
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, NamedTuple

from happened.query import Criteria, Filter, Sort

__all__ = ["Selection", "add_functions", "field_value", "literal", "selection", "unique_terms"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EDGE: Final = 2.0**63  # numbers from here on are no 64-bit integers

_OPERATORS: Final = {"exact": "=", "ne": "IS NOT", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

# The documents of a category as they are after this transaction's own writes, which are given as
# a list of lists in JSON: id, version, next position, data.
_WRITTEN: Final = """(
    SELECT seq, id, version, next_position, data FROM happened_documents
    WHERE category = {category} AND version > 0
    AND id NOT IN (SELECT json_extract(value, '$[0]') FROM json_each(:written))
    UNION ALL
    SELECT
        coalesce(
            (SELECT seq FROM happened_documents
             WHERE category = {category} AND id = json_extract(value, '$[0]')),
            9000000000000000000 + key
        ),
        json_extract(value, '$[0]'),
        json_extract(value, '$[1]'),
        json_extract(value, '$[2]'),
        json_extract(value, '$[3]')
    FROM json_each(:written) WHERE json_extract(value, '$[1]') > 0
)"""


class Selection(NamedTuple):
    """A query as two statements with the same parameters.

    Attributes:
        total: how many documents fit.
        rows: id, version, next position and data of those that are asked for.
        parameters: for both.
    """

    total: str
    rows: str
    parameters: dict[str, Any]


def literal(text: str) -> str:
    """Return text as it is written in SQL.

    Args:
        text: any.
    """
    return "'" + text.replace("'", "''") + "'"


def field_value(path: Sequence[str]) -> str:
    """Return the expression for the value of a field; the indexes of fields have the same.

    Args:
        path: the names that lead to the value.
    """
    return f"json_extract(data, {_path(path)})"


def unique_terms(field: str) -> str:
    """Return what may not be the same in two documents if a field is to be unique.

    SQLite rounds whole numbers beyond 64 bits, so all the digits follow then; true is 1 in it, so
    the type follows a whole number.

    Args:
        field: its name.
    """
    value = field_value([field])
    more = (
        f"WHEN 'real' THEN {_source([field])} WHEN 'integer' THEN json_type(data, {_path([field])})"
    )
    return f"{value}, CASE typeof({value}) {more} ELSE 0 END"


def selection(category: str, criteria: Criteria, written: str | None) -> Selection:
    """Return a query in SQL.

    Args:
        category: the category of the documents.
        criteria: which, in which order, how many.
        written: what the transaction itself has written in this category, as a list of id,
            version, next position and data in JSON, the version 0 where it was removed; ``None``
            for nothing.
    """
    parameters: dict[str, Any] = {}
    conditions = [_condition(each, parameters) for each in criteria.filters]
    name = literal(category)  # not a parameter: only so can SQLite use the index of a category
    if written is None:
        source = "happened_documents"
        conditions[:0] = [f"category = {name}", "version > 0"]
    else:
        source = _WRITTEN.format(category=name)
        parameters["written"] = written
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = ", ".join([*(_order(each) for each in criteria.sorts), "seq"])
    parameters["limit"] = -1 if criteria.limit is None else min(criteria.limit, 2**62)
    parameters["offset"] = min(criteria.offset, 2**62)
    return Selection(
        f"SELECT count(*) FROM {source}{where}",
        f"SELECT id, version, next_position, CAST(data AS BLOB) FROM {source}{where} "
        f"ORDER BY {order} LIMIT :limit OFFSET :offset",
        parameters,
    )


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions and orders that queries use.

    Args:
        connection: an open one.
    """
    connection.create_function("happened_lower", 1, _lower, deterministic=True)
    connection.create_function("happened_matches", 2, _matches, deterministic=True)
    connection.create_function("happened_moment", 1, _moment, deterministic=True)
    connection.create_function("happened_real", 1, _real, deterministic=True)
    connection.create_collation("happened_decimal", _comparing(_decimal))
    connection.create_collation("happened_number", _comparing(_number))


# ------------------------------------------------------------------- conditions


def _path(path: Sequence[str]) -> str:
    return literal("$" + "".join(f'."{name}"' for name in path))


def _source(path: Sequence[str]) -> str:
    """The value as it is written in the document, in a list: numbers keep all their digits."""
    return f"json_extract(data, {_path(path)}, {_path(path)})"


def _real_value(path: Sequence[str]) -> str:
    """A number, rounded as Python does it."""
    value = field_value(path)
    return f"CASE typeof({value}) WHEN 'real' THEN happened_real({_source(path)}) ELSE {value} END"


def _condition(condition: Filter, parameters: dict[str, Any]) -> str:
    path, lookup, wanted, kind = (
        condition.path,
        condition.lookup,
        condition.value,
        condition.kind,
    )
    value = field_value(path)
    if lookup == "isnull" or wanted is None:
        null = lookup == "exact" if wanted is None else bool(wanted)
        if wanted is None and lookup not in ("exact", "ne"):
            return "0"
        return f"{value} IS {'' if null else 'NOT '}NULL"
    wants = wanted if lookup == "in" else [wanted]
    if kind in _NATIVE and all(each is None or _NATIVE[kind](each) for each in wants):
        return _native(condition, parameters)
    parameter = _parameter(json.dumps([lookup, wanted, kind]), parameters)
    return f"happened_matches({_source(path)}, {parameter})"


def _native(condition: Filter, parameters: dict[str, Any]) -> str:
    """A condition whose values SQLite compares as Python does."""
    path, lookup = condition.path, condition.lookup
    wanted: Any = condition.value
    value = compared = field_value(path)
    if condition.kind == "moment":
        compared = f"happened_moment({value})"
        wanted = list(map(_moment, wanted)) if lookup == "in" else _moment(wanted)
    elif condition.kind == "number":
        compared = _real_value(path)
    if lookup == "in":
        known = _parameter(json.dumps([each for each in wanted if each is not None]), parameters)
        found = f"{compared} IN (SELECT value FROM json_each({known}))"
        return f"({found} OR {value} IS NULL)" if None in wanted else found
    if lookup in _OPERATORS:
        parameter = _parameter(wanted, parameters)
        found = f"{compared} {_OPERATORS[lookup]} {parameter}"
        if lookup == "exact" and condition.kind == "number":
            return f"({value} = {parameter} AND {found})"  # the first can use an index
        return found
    return _of_text(value, lookup, wanted, parameters)


def _of_text(value: str, lookup: str, wanted: str, parameters: dict[str, Any]) -> str:
    if lookup == "icontains":
        return f"instr(happened_lower({value}), {_parameter(wanted.lower(), parameters)}) > 0"
    if lookup == "contains":
        return f"instr({value}, {_parameter(wanted, parameters)}) > 0"
    if not wanted:
        return f"{value} IS NOT NULL"
    part = f"1, {len(wanted)}" if lookup == "startswith" else f"-{len(wanted)}"
    return f"substr({value}, {part}) = {_parameter(wanted, parameters)}"


def _parameter(value: object, parameters: dict[str, Any]) -> str:
    name = f"p{len(parameters)}"
    parameters[name] = value
    return f":{name}"


def _is_plain_text(value: object) -> bool:
    """Whether SQLite can be given this text: it takes no halves of characters, and ends at NUL."""
    return isinstance(value, str) and "\0" not in value and _encodes(value)


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) and -(2**63) < value < 2**63


_NATIVE: Final[dict[str, Callable[[object], bool]]] = {
    "text": _is_plain_text,
    "boolean": lambda value: isinstance(value, bool),
    "moment": lambda value: isinstance(value, str),
    "number": _is_whole_number,
}
"""Which values of which kind SQLite compares as Python does."""


def _order(sort: Sort) -> str:
    direction = "DESC" if sort.descending else "ASC"
    value = field_value(sort.path)
    if sort.kind == "moment":
        value = f"happened_moment({value})"
    elif sort.kind == "decimal":
        known = f"CASE WHEN {value} IS NOT NULL THEN {_source(sort.path)} END"
        value = f"{known} COLLATE happened_decimal"
    elif sort.kind == "number":
        value = _real_value(sort.path)
        huge = f"{value} >= {_EDGE!r} OR {value} <= -{_EDGE!r}"
        exact = f"CASE WHEN {huge} THEN {_source(sort.path)} END COLLATE happened_number"
        return f"{value} {direction} NULLS LAST, {exact} {direction}"
    return f"{value} {direction} NULLS LAST"


# ------------------------------------------------------------------- functions


def _lower(text: object) -> str | None:
    return text.lower() if isinstance(text, str) else None


def _matches(source: str, condition: str) -> bool:
    return _filter(condition).matches({"value": json.loads(source)[0]})


@lru_cache(256)
def _filter(condition: str) -> Filter:
    lookup, wanted, kind = json.loads(condition)
    return Filter(("value",), lookup, wanted, kind)


@lru_cache(4096)
def _moment(text: str | None) -> int | None:
    """Microseconds since 1970."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def _real(source: str) -> float:
    number = json.loads(source)[0]
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _number(source: str) -> Any:
    return json.loads(source)[0]


@lru_cache(4096)
def _decimal(source: str) -> Decimal:
    return Decimal(str(json.loads(source)[0]))


def _comparing(key: Callable[[str], Any]) -> Callable[[str, str], int]:
    def compare(left: str, right: str) -> int:
        one, two = key(left), key(right)
        return int(one > two) - int(one < two)

    return compare
