"""Layer 6. Queries in PostgreSQL: filters and order as SQL over JSON.

What `Filter.matches` and `ranked` say is the meaning; the values are parameters, and the names of
categories and fields stand in the text, so that the planner sees which index fits.
"""

# ruff: noqa: S608
# The variable part of its SQL is the schema, whose name was checked, and names that are quoted.

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from happened.query import Criteria, Filter, ValueKind
from happened.storage import Document

__all__ = ["index_expression", "literal", "selection"]

_COMPARE: Final = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_UNREACHABLE: Final = re.compile("[\0\ud800-\udfff]")
"""What no stored text has: NUL, and halves of characters."""
_TYPE: Final[dict[ValueKind, str]] = {"decimal": "numeric", "moment": "timestamptz"}


def literal(text: str) -> str:
    """Return text as it stands in a statement of the driver.

    Args:
        text: the name of a category or a field.

    Example:
        >>> from happened.adapters.postgres_query import literal
        >>> print(literal("it's"))
        'it''s'
    """
    return "'" + text.replace("'", "''").replace("%", "%%") + "'"


def index_expression(category: str, field: str) -> str:
    """Return what an index of one field of one category is made of.

    Args:
        category: the stream category.
        field: the field.

    Example:
        >>> from happened.adapters.postgres_query import index_expression
        >>> print(index_expression("book", "isbn"))
        ((fields -> 'isbn')) WHERE category = 'book' AND (fields -> 'isbn') <> 'null'
    """
    value = f"(fields -> {literal(field)})"
    return f"({value}) WHERE category = {literal(category)} AND {value} <> 'null'"


def selection(
    schema: str,
    category: str,
    criteria: Criteria,
    own: Sequence[Document] = (),
    hidden: Sequence[str] = (),
    *,
    counting: bool = False,
) -> tuple[str, dict[str, Any]]:
    """Return a statement, and its parameters, for the documents that fit.

    Its rows are id, version, next position, data, and how many fit in all.

    Args:
        schema: the schema, quoted.
        category: the stream category.
        criteria: which documents, in which order, how many.
        own: documents that take the place of those that are stored, or come behind them.
        hidden: the ids of what is not to be found as it is stored: those of ``own``, and others.
        counting: whether only to count them.

    Example:
        >>> from happened.adapters.postgres_query import selection
        >>> from happened.query import Criteria
        >>> selection('"happened"', "book", Criteria())[1]
        {}
    """
    parameters: dict[str, Any] = {}
    source = _source(schema, category, own, hidden, parameters)
    conditions = [_Condition(schema, each, parameters).sql() for each in criteria.filters]
    where = "".join(f" AND {each}" for each in conditions)
    if counting:
        return f"SELECT count(*) FROM {source}{where}", parameters
    order = [
        f"{_typed(schema, _value(sort.path), sort.kind)} {'DESC' if sort.descending else 'ASC'}"
        " NULLS LAST"
        for sort in criteria.sorts
    ]
    whole = criteria.offset == 0 and criteria.limit is None
    total = "count(*) OVER ()" if whole else f"(SELECT count(*) FROM {source}{where})"
    sql = (
        f"SELECT d.id, d.version, d.next_position, d.data::text, {total} FROM {source}{where} "
        f"ORDER BY {', '.join([*order, 'd.seq'])}"
    )
    if not whole:
        parameters["offset"] = min(criteria.offset, 2**62)
        parameters["limit"] = None if criteria.limit is None else min(criteria.limit, 2**62)
        sql += " OFFSET %(offset)s::bigint LIMIT %(limit)s::bigint"
    return sql, parameters


def _source(
    schema: str,
    category: str,
    own: Sequence[Document],
    hidden: Sequence[str],
    parameters: dict[str, Any],
) -> str:
    """Where documents are taken from: what is stored, as a transaction's own writes change it."""
    name = literal(category)
    if not hidden:
        return f"{schema}.documents d WHERE d.category = {name} AND d.data IS NOT NULL"
    parameters["hidden"] = list(hidden)
    rows = [
        f'{{"i":{json.dumps(each.id)},"v":{each.version},"n":{each.next_position},'
        f'"d":{each.data.decode()}}}'
        for each in own
    ]
    parameters["own"] = f"[{','.join(rows)}]"
    columns = "id, version, next_position, data, fields, seq"
    stored = f"FROM {schema}.documents WHERE category = {name} AND data IS NOT NULL"
    return (
        f"(SELECT {columns} {stored} AND id <> ALL (%(hidden)s::text[])"
        " UNION ALL SELECT g.i, g.v, g.n, g.d, g.d::jsonb,"
        f" coalesce((SELECT seq {stored} AND id = g.i), {2**62} + g.place)"
        " FROM ROWS FROM (json_to_recordset(%(own)s::json) AS (i text, v bigint, n bigint, d json))"
        " WITH ORDINALITY AS g(i, v, n, d, place)) d WHERE true"
    )


def _value(path: Sequence[str]) -> str:
    """The JSON value at a path."""
    return "(d.fields" + "".join(f" -> {literal(name)}" for name in path) + ")"


def _typed(schema: str, value: str, kind: ValueKind) -> str:
    """A JSON value as something that has the order of its kind."""
    text = f"({value} #>> '{{}}')"
    if kind in ("number", "decimal"):
        return f"{text}::numeric"
    if kind == "moment":
        return f"{schema}.moment({text})"
    return f"{text}::boolean" if kind == "boolean" else f'{text} COLLATE "C"'


class _Condition:
    """One filter as SQL; what it is compared with becomes a parameter."""

    def __init__(self, schema: str, given: Filter, parameters: dict[str, Any]) -> None:
        self._given = given
        self._schema = schema
        self._parameters = parameters
        self._value = _value(given.path)
        self._absent = f"({self._value} IS NULL OR {self._value} = 'null')"

    def sql(self) -> str:  # noqa: PLR0911 - a return for each kind of lookup
        lookup, value = self._given.lookup, self._given.value
        if lookup == "isnull" or (value is None and lookup in ("exact", "ne")):
            wanted = bool(value) if lookup == "isnull" else lookup == "exact"
            return self._absent if wanted else f"NOT {self._absent}"
        if lookup == "in":
            return self._in(value or ())
        if lookup in _COMPARE and value is not None:
            return self._ordered(lookup, value)
        if value is None or _matches_nothing(value):
            return "true" if lookup == "ne" else "false"
        if lookup in ("exact", "ne"):
            left, right = self._sides(value)
            if lookup == "ne":
                return f"{left} IS DISTINCT FROM {right}"
            return f"({left} = {right} AND {self._value} <> 'null')"
        return self._text(lookup, value)

    def _add(self, value: Any) -> str:
        name = f"p{len(self._parameters)}"
        self._parameters[name] = value
        return f"%({name})s"

    def _sides(self, value: Any) -> tuple[str, str]:
        kind = self._given.kind
        if kind in _TYPE:
            left = _typed(self._schema, self._value, kind)
            return left, f"{self._add(_plain(value, kind))}::{_TYPE[kind]}"
        return self._value, f"{self._add(_plain(value, kind))}::jsonb"

    def _in(self, values: Sequence[Any]) -> str:
        kind = self._given.kind
        known = [each for each in values if each is not None and not _matches_nothing(each)]
        absent = self._absent if None in values else "false"
        if not known:
            return absent
        listed = self._add([_plain(each, kind) for each in known])
        left = _typed(self._schema, self._value, kind) if kind in _TYPE else self._value
        type_ = _TYPE.get(kind, "jsonb")
        return f"(({left} = ANY ({listed}::{type_}[]) AND {self._value} <> 'null') OR {absent})"

    def _ordered(self, lookup: str, value: Any) -> str:
        kind, sign = self._given.kind, _COMPARE[lookup]
        if kind == "number":  # as JSON, in whose order an index is
            number = f"jsonb_typeof({self._value}) = 'number'"
            if not math.isfinite(value):
                return number if (value == math.inf) is (sign[0] == "<") else "false"
            return f"({number} AND {self._value} {sign} {self._add(_plain(value, kind))}::jsonb)"
        left = _typed(self._schema, self._value, kind)
        if kind == "text":
            value, sign = _reachable(value, sign)
            return f"{left} {sign} {self._add(value)}::text"
        return f"{left} {sign} {self._add(_plain(value, kind))}::{_TYPE[kind]}"

    def _text(self, lookup: str, value: Any) -> str:
        text = f"({self._value} #>> '{{}}')"
        if lookup == "contains":
            items = f"SELECT FROM jsonb_array_elements({self._value}) item WHERE item = "
            whole = f"EXISTS ({items}{self._add(json.dumps(value))}::jsonb)"
            part = "false"
            if isinstance(value, str):
                part = f"strpos({text}, {self._add(value)}::text) > 0"
            return (
                f"CASE jsonb_typeof({self._value}) WHEN 'array' THEN {whole} "
                f"WHEN 'string' THEN {part} ELSE false END"
            )
        if lookup == "icontains":
            return f"strpos({self._schema}.lowered({text}), {self._add(value.lower())}::text) > 0"
        given = f"{self._add(value)}::text"
        if lookup == "startswith":
            return f"starts_with({text}, {given})"
        return f"right({text}, char_length({given})) = {given}"


def _plain(value: Any, kind: ValueKind) -> str:
    """A value as the text of a parameter."""
    if kind == "decimal":
        return str(value)
    if kind == "moment":
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    return json.dumps(value)


def _matches_nothing(value: Any) -> bool:
    """Whether no stored value can equal this one."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, str):
        return _UNREACHABLE.search(value) is not None
    if isinstance(value, dict):
        return any(map(_matches_nothing, (*value, *value.values())))
    return isinstance(value, list) and any(map(_matches_nothing, value))


def _reachable(value: str, sign: str) -> tuple[str, str]:
    """A comparison with a text that could be stored, which means the same for all that are."""
    found = _UNREACHABLE.search(value)
    if found is None:
        return value, sign
    nearest, inclusive = ("", "<") if found[0] == "\0" else ("\ue000", ">")
    sign = sign[0] + "=" * (sign[0] == inclusive)
    return value[: found.start()] + nearest, sign
