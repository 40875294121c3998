"""A storage is driven through random transactions beside a model of a few dictionaries."""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from happened import ConcurrencyError, ValidationError
from happened.query import Criteria, Filter
from happened.storage import Collection, Storage, Transaction, open_storage
from happened.testing.storage_contract.actions import document, message, prepare
from tests.storages import STORAGES, discard

IDS = st.sampled_from(["b1", "b2", "b3"])
VALUES = st.sampled_from([None, 1, 2])

State = dict[str, tuple[int, int | None]]
"""The model of a collection: id to version and unique value."""


@dataclass
class Open:
    """A transaction beside what it should do."""

    transaction: Transaction
    writes: dict[str, tuple[int, tuple[int, int | None] | None]] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)

    def version(self, stored: State, id: str) -> int:
        if id in self.writes:
            after = self.writes[id][1]
            return after[0] if after else 0
        return stored[id][0] if id in stored else 0

    def write(self, stored: State, id: str, after: tuple[int, int | None] | None) -> None:
        before = self.writes[id][0] if id in self.writes else self.version(stored, id)
        self.writes[id] = (before, after)

    def seen(self, stored: State) -> State:
        written = {id: after for id, (_, after) in self.writes.items()}
        return {id: row for id, row in {**stored, **written}.items() if row is not None}


class Machine(RuleBasedStateMachine):
    """Up to three transactions at once; each commit must do what the model says."""

    url = "memory://"
    transactions: Any = Bundle("transactions")

    def __init__(self) -> None:
        super().__init__()
        self.storage: Storage = open_storage(self.url)
        prepare(self.storage, [Collection("book", ("n",))])
        self.stored: State = {}
        self.stream: list[int] = []
        self.removed: set[str] = set()

    def teardown(self) -> None:
        self.storage.close()
        discard(self.storage.url)

    @rule(target=transactions)
    def begin(self) -> Open:
        return Open(self.storage.begin())

    @rule(opened=transactions, id=IDS, value=VALUES)
    def save(self, opened: Open, id: str, value: int | None) -> None:
        version = opened.version(self.stored, id)
        data = b'{"n":%s}' % (b"null" if value is None else b"%d" % value)
        opened.transaction.save("book", document(id, version + 1, data), expected=version)
        opened.write(self.stored, id, (version + 1, value))

    @rule(opened=transactions, id=IDS)
    def remove(self, opened: Open, id: str) -> None:
        version = opened.version(self.stored, id)
        if version:
            opened.transaction.remove("book", id, expected=version)
            opened.write(self.stored, id, None)

    @rule(opened=transactions)
    def append(self, opened: Open) -> None:
        if not opened.positions:
            opened.positions.append(len(self.stream))
        else:
            opened.positions.append(opened.positions[-1] + 1)
        opened.transaction.append([message("book-b1", opened.positions[-1])])

    @rule(opened=transactions, id=IDS, value=VALUES)
    def look(self, opened: Open, id: str, value: int | None) -> None:
        seen = opened.seen(self.stored)
        found = opened.transaction.load("book", id)
        assert (found.version if found else 0) == seen.get(id, (0, None))[0]
        page = opened.transaction.find(
            "book", Criteria(filters=(Filter(("n",), "exact", value, "number"),))
        )
        assert {each.id for each in page.items} == {key for key in seen if seen[key][1] == value}

    @rule(target=transactions, opened=consumes(transactions))
    def commit(self, opened: Open) -> Any:
        conflict = any(
            before != (self.stored[id][0] if id in self.stored else 0)
            for id, (before, _) in opened.writes.items()
        ) or (opened.positions and opened.positions[0] != len(self.stream))
        after = opened.seen(self.stored)
        taken = [value for _, value in after.values() if value is not None]
        twice = len(taken) > len(set(taken))
        expected: tuple[type[Exception], ...] = (ConcurrencyError,) if conflict else ()
        used = any(row and id in self.removed for id, (_, row) in opened.writes.items())
        expected += (ValidationError,) if twice or used else ()
        if expected:
            with pytest.raises(expected):
                opened.transaction.commit()
            opened.transaction.rollback()
            return multiple()
        try:
            opened.transaction.commit()
        except ValidationError:
            # What was removed before, and is added and removed again, may be refused, too.
            opened.transaction.rollback()
            assert opened.writes.keys() & self.removed
        else:
            self.removed |= self.stored.keys() - after.keys()
            self.stored = after
            self.stream += opened.positions
        return multiple()

    @rule(opened=consumes(transactions))
    def rollback(self, opened: Open) -> None:
        opened.transaction.rollback()

    @invariant()
    def holds_what_was_committed(self) -> None:
        transaction = self.storage.begin()
        found = transaction.find("book", Criteria()).items
        transaction.rollback()
        assert {each.id: each.version for each in found} == {
            id: version for id, (version, _) in self.stored.items()
        }
        read = self.storage.read_category(None)
        assert [each.metadata.position for each in read] == self.stream
        assert [each.metadata.global_position for each in read] == [*range(len(self.stream))]


@pytest.mark.parametrize("address", STORAGES, ids=lambda address: str(address.__name__))
def test_a_storage_does_what_its_model_does(address: Any) -> None:
    with TemporaryDirectory() as folder:

        class There(Machine):
            @property
            def url(self) -> str:  # type: ignore[override]
                return str(address(Path(folder)))

        run_state_machine_as_test(
            There,
            settings=settings(
                max_examples=60,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
