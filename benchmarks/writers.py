"""Eight writers at once, with a random short wait between insert and commit, and one reader."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

from benchmarks.contenders import Writers

WRITERS = 8
LONGEST = 0.004  # seconds; the waits are spread evenly from 0
PATIENCE = 60.0  # seconds


def measure(writers: Writers, messages: int) -> float:
    """Return after how many seconds the reader had all messages; it must have each one once."""
    each = messages // WRITERS
    opened = [writers.open_writer(number) for number in range(WRITERS)]
    reader = writers.open_reader()
    stopped = Event()

    def write(number: int) -> None:
        waits = random.Random(number)
        for position in range(each):
            opened[number].append(position, waits.uniform(0, LONGEST))

    def read() -> list[str]:
        seen: list[str] = []
        while not stopped.is_set():
            page = reader.read()
            seen += page
            if len(seen) >= WRITERS * each:
                break
            if not page:
                time.sleep(0.001)
        return seen

    with ThreadPoolExecutor(WRITERS + 1) as threads:
        begun = time.perf_counter()
        reading = threads.submit(read)
        try:
            for writing in [threads.submit(write, number) for number in range(WRITERS)]:
                writing.result()
            seen = reading.result(PATIENCE)
        finally:
            stopped.set()
        took = time.perf_counter() - begun
    seen += reader.read()
    committed = WRITERS * each
    assert len(seen) == len(set(seen)) == committed, (
        f"{committed} committed, {len(seen)} read, {len(set(seen))} of them different"
    )
    for writer in opened:
        writer.close()
    reader.close()
    return took
