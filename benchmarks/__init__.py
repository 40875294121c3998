"""How fast Happened is, beside the same work by hand and beside other libraries, in one run.

`make bench`, or `python -m benchmarks`, takes about six minutes and prints two tables; what
pytest-benchmark measured, and the ratios, go to `benchmarks/latest.json`, which git ignores.
Arguments are passed to pytest: `python -m benchmarks -k pipeline` measures the pipelines alone.
`python -m benchmarks memory` measures instead how much memory a server needs, see `memory.py`.
The cases on PostgreSQL need a server, on 127.0.0.1 or where the variable POSTGRES_URL says; each
makes a schema of its own and drops it. Without a server they are not measured, and say so.

**The first table** has a row for each contender: the median time of one operation, the fastest
and the slowest pass, and how many times Happened's own time that is.

**The second table** has the targets. Each is a ratio of two medians that were taken in the same
pass, right after each other; the median over all passes is shown. Compare ratios only: the same
machine is easily twice as fast an hour later, and both sides of a ratio then change alike.
A target that is missed is printed as such and changes nothing else: times depend on what else a
machine does, so no test and no exit status hangs on them. The exit status is 1 only if something
could not be measured.

**The floor** (`contenders/floor.py`) is the same work written by hand with Pydantic models and
dictionaries; on a storage, with the driver alone (`floor_sqlite.py`, `floor_postgres.py`). It is as
near as one gets to a limit, and the pipelines' targets are multiples of it. On SQLite there is a
second one without a target, `floor_sqlite:once`: it also notes what is to be done after the commit,
so that who dies there loses nothing. That is two more statements, which Happened has as well.

How it is measured, alike for all:

- A pass runs every contender of every case, five rounds each, backwards in every second pass.
- The garbage collector is off in a round and run before. What is stored is built anew for each
  pass; the pipeline then adds its own 100 orders in five rounds, protean 5.
- Dispatch calls three handlers that do nothing, with one event that is made before. The awaited
  ones run in one event loop, 5,000 events a round, so that starting the loop does not count.
- The pipeline: a command → its handler → an `Order` that raises an event → the event's handler →
  an `Inventory`. A tenth of what is stored are inventories and the rest orders that the same
  pipeline placed before, so that commands and events of theirs lie there too.
- The pipelines on SQLite and PostgreSQL do the same. Both sides of a ratio lie in the same kind of
  file with the same `synchronous`, or on the same server with its `synchronous_commit`; the report
  names both. A command takes two transactions on either side.
- An event handled: the events lie there before the clock starts, each in a stream of its own, and
  it runs until the last handler's transaction has ended; then each event must have its one row.
  Happened and eventsourcing write it in one transaction with their checkpoint, protean does not.
- From commit to handled: the publisher is one process, the server another, 100 events a second;
  each pass takes 5 seconds a contender, after a warm-up of 50 events. See `latency.py`.
- Eight writers: each waits up to 4 ms between insert and commit. The clock runs until the reader
  has everything; it must have each message once. See `writers.py`.
- Peers run in their fastest setting: without logging, without weak references, in an open context.
- A process is timed from outside; the bare interpreter's time is taken off before dividing.
"""
