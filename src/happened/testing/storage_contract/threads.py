"""Layer 6. The contract of storages: several writers and readers at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from happened.errors import ConcurrencyError, ValidationError
from happened.query import Criteria, Filter
from happened.storage import Collection, Document, Storage
from happened.testing.storage_contract.actions import document, found, load, message, prepare, save
from happened.testing.storage_contract.interleaving import meanwhile, switching_often
from happened.testing.storage_contract.unique_fields import isbn


def test_of_eight_writers_at_once_none_overwrites_another(storage: Storage) -> None:
    save(storage, "counter", document("c1", data=b"0"))
    barrier = threading.Barrier(8)

    def count() -> int:
        conflicts = 0
        for turn in range(25):
            met = turn > 0
            while True:
                transaction = storage.begin()
                try:
                    before = transaction.load("counter", "c1")
                    assert before is not None
                    if not met:
                        met = True
                        barrier.wait()  # all have read the first version before one commits
                    after = Document(
                        "c1", before.version + 1, before.version, b"%d" % (int(before.data) + 1)
                    )
                    transaction.save("counter", after, expected=before.version)
                    transaction.append([message("counter-c1", before.version - 1)])
                    transaction.commit()
                    break
                except ConcurrencyError:
                    transaction.rollback()
                    conflicts += 1
        return conflicts

    with switching_often(), ThreadPoolExecutor(8) as pool:
        running = [pool.submit(count) for _ in range(8)]
        assert sum(each.result(60) for each in running) >= 7, "each but the first must lose once"
    assert load(storage, "counter", "c1") == Document("c1", 201, 200, b"200")
    read = storage.read_category("counter", limit=300)
    assert [each.metadata.position for each in read] == list(range(200))
    assert [each.metadata.global_position for each in read] == list(range(200))


def test_of_two_that_want_one_unique_value_at_once_one_gets_it(storage: Storage) -> None:
    prepare(storage, [Collection("book", ("isbn",))])
    barrier = threading.Barrier(4)

    def claim(writer: int) -> int:
        won = 0
        for n in range(20):
            barrier.wait()
            try:
                save(storage, "book", isbn(f"b{n}-{writer}", f'"{n}"'))
                won += 1
            except (ValidationError, ConcurrencyError):
                pass
        return won

    with switching_often(), ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim, range(4))) == 20
    assert len(found(storage, "book")) == 20


def test_readers_never_see_half_a_commit(storage: Storage) -> None:
    save(storage, "account", document("a1", data=b"100"), document("a2", data=b"100"))
    sums, lengths = [], []

    def look() -> None:
        transaction = storage.begin()
        page = transaction.find("account", Criteria())
        transaction.rollback()
        sums.append(sum(int(each.data) for each in page.items))
        one_by_one = [load(storage, "account", id) for id in ("a1", "a2")]
        if one_by_one[0] == document("a1", 2, b"50"):
            assert one_by_one[1] == document("a2", 2, b"150")
        lengths.append(len(storage.read_category(None)))
        if storage.read("account-a1"):
            assert len(storage.read_category("audit")) == 1

    transaction = storage.begin()
    transaction.save("account", document("a1", 2, b"50"), expected=1)
    transaction.save("account", document("a2", 2, b"150"), expected=1)
    transaction.append([message("account-a1", 0), message("audit-a1", 0)])
    assert meanwhile(transaction.commit, look)
    assert set(sums) == {200}
    assert set(lengths) <= {0, 2}
    assert found(storage, "account") == ["a1", "a2"]
    assert len(storage.read_category(None)) == 2


def test_a_query_never_takes_an_old_state_for_the_new_one(storage: Storage) -> None:
    """Whenever another changes what a query looks at, the next query must be right."""
    save(storage, "book", document("b1", data=b'{"n":1}'))
    version = 1

    def query() -> list[str]:
        return found(storage, "book", Criteria(filters=(Filter(("n",), "exact", 1, "number"),)))

    def change() -> None:
        nonlocal version
        version += 1
        save(storage, "book", document("b1", version, b'{"n":%d}' % (version % 2)))

    line = 0
    while meanwhile(query, change, at=line):
        assert query() == (["b1"] if version % 2 else []), f"changed at line {line} of the query"
        line += 1
    assert version > 1, "nothing was changed: this proves nothing"
