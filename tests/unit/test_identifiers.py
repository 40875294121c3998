"""Identifiers: unique, ordered, and laid out as RFC 9562 says."""

import ctypes
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from happened import identifiers, new_id


def test_an_identifier_is_a_uuid_of_version_7() -> None:
    before = time.time_ns() // 1_000_000
    parsed = uuid.UUID(text := new_id())
    after = time.time_ns() // 1_000_000
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert before <= parsed.int >> 80 <= after


def test_identifiers_are_ordered_as_they_were_made() -> None:
    made = [new_id() for _ in range(20_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_a_later_millisecond_sorts_behind_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([1_000_000, 1_999_999, 2_000_000, 4_102_444_800_000_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))
    made = [new_id() for _ in range(4)]
    assert [text[:13] for text in made] == [
        "00000000-0001",
        "00000000-0001",
        "00000000-0002",
        "03bb2cc3-d800",
    ]
    assert made == sorted(made)


def test_threads_never_make_the_same_identifier() -> None:
    start = threading.Barrier(8)

    def make(_: int) -> list[str]:
        start.wait()
        return [new_id() for _ in range(5_000)]

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert len({each for some in made for each in some}) == 40_000
    assert all(some == sorted(some) for some in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that it has threads
@pytest.mark.parametrize("past_python", [False, True])
def test_a_forked_process_makes_identifiers_of_its_own(past_python: bool) -> None:
    new_id()
    received, sent = os.pipe()
    child = ctypes.PyDLL(None).fork() if past_python else os.fork()
    if child == 0:  # pragma: no cover - in the other process
        if past_python:
            time.sleep(0.01)  # noticed with the next millisecond
        os.write(sent, "\n".join(new_id() for _ in range(50)).encode())
        os._exit(0)
    made = [new_id() for _ in range(50)]
    os.waitpid(child, 0)
    os.close(sent)
    with os.fdopen(received) as pipe:
        theirs = pipe.read().splitlines()
    assert len(theirs) == 50
    tails = {text[14:23] for text in made}, {text[14:23] for text in theirs}
    assert tails[0].isdisjoint(tails[1])
    assert len({*made, *theirs}) == 100


def test_two_processes_begin_at_different_places() -> None:
    series = [identifiers._Series() for _ in range(50)]
    for each in series:
        each.start()
    assert len({(each.tail, next(each.numbers)) for each in series}) == 50
    assert all(next(each.numbers) < 2**48 - 2**40 for each in series)
