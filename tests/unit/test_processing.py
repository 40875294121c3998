"""In which order handlers run, what a failure does, and what is left behind: nothing."""

import contextvars
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from happened import (
    Aggregate,
    Command,
    ConcurrencyError,
    ConfigurationError,
    Domain,
    Event,
    HappenedError,
    StorageError,
    current_domain,
    handle,
    processing,
)
from happened.domain import _active
from happened.hooks import Step
from happened.processing import _current_run
from happened.storage import Document
from happened.tracing import current_trace, trace
from happened.unit_of_work import current_unit_of_work


class Tree:
    """A domain whose events are nodes: the handler of ``"a"`` raises its children, and so on."""

    def __init__(self, name: str = "tree") -> None:
        self.domain = domain = Domain(name)
        self.seen: list[str] = []
        self.children: dict[str, list[str]] = {}
        self.during: dict[str, Callable[[], Any]] = {}
        self.events: dict[str, Event] = {}

        @domain.aggregate
        class Node(Aggregate):
            grown: int = 0

            def grow(self, *names: str) -> None:
                self.grown += len(names)
                for name in names:
                    self.raise_(Grown(name=name))

        @domain.event(part_of=Node)
        class Grown(Event):
            name: str

        @domain.command(part_of=Node)
        class Grow(Command):
            name: str

        @domain.command_handler(part_of=Node, retries=2)
        class Growing:
            @handle(Grow)
            def grow(self, command: Any) -> str:
                return tree.react("command", command)

        @domain.event_handler(part_of=Node)
        class First:
            @handle(Grown)
            def see(self, event: Any) -> None:
                tree.react("first", event)

        @domain.on(Grown)
        def second(event: Any) -> None:
            tree.seen.append(f"second {event.name}")
            tree.during.get(f"second {event.name}", int)()

        tree = self
        self.Node: Any = Node
        self.Grow: Any = Grow
        self.Grown: Any = Grown
        domain.init(traverse=False)
        self.nodes: Any = domain.repository_for(Node)

    def react(self, handler: str, message: Any) -> str:
        self.seen.append(f"{handler} {message.name}")
        self.events[f"{handler} {message.name}"] = message
        children = self.children.get(message.name, []) if handler == "first" else []
        children = [message.name] if handler == "command" else children
        if children:
            node = self.Node()
            node.grow(*children)
            self.nodes.add(node)
        self.during.get(f"{handler} {message.name}", int)()
        return f"grew {message.name}"

    def process(self, name: str) -> Any:
        return self.domain.process(self.Grow(name=name))

    def stored(self) -> list[str]:
        read = self.domain.storage.read_category(None)
        return [each.data.decode().split('"')[3] for each in read]


@pytest.fixture
def tree() -> Tree:
    return Tree()


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """After each test, whatever failed in it, no context variable is still set."""
    yield
    for variable in (current_trace, current_unit_of_work, _active, _current_run):
        assert variable.get() is None


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


# ------------------------------------------------------------------- order


def test_the_caller_gets_what_the_command_handler_returned(tree: Tree) -> None:
    assert tree.process("a") == "grew a"


def test_handlers_run_breadth_first_in_the_order_of_their_registration(tree: Tree) -> None:
    tree.children = {"a": ["b", "c"], "b": ["d", "e"], "c": ["f"], "e": ["g"]}
    tree.process("a")
    assert tree.seen == ["command a"] + [
        f"{handler} {name}" for name in "abcdefg" for handler in ("first", "second")
    ]
    assert tree.stored() == [*"abcdefg"]


def test_a_long_chain_needs_no_deep_stack(tree: Tree) -> None:
    tree.children = {str(n): [str(n + 1)] for n in range(3000)}
    tree.process("0")
    assert tree.seen[-1] == "second 3000"


def test_an_event_from_elsewhere_is_handled_and_not_stored(tree: Tree) -> None:
    tree.children = {"a": ["b"]}
    tree.domain.dispatch(tree.Grown(name="a"))
    assert tree.seen == ["first a", "second a", "first b", "second b"]
    assert tree.stored() == ["b"]


def test_a_dispatch_inside_a_handler_waits_its_turn(tree: Tree) -> None:
    tree.children = {"a": ["b"]}
    tree.during["second a"] = lambda: tree.domain.dispatch(tree.Grown(name="x"))
    tree.process("a")
    assert [each for each in tree.seen if each.startswith("first")] == [
        *("first a", "first b", "first x")
    ]


def test_an_add_outside_of_handlers_is_dispatched_before_it_returns(tree: Tree) -> None:
    node = tree.Node()
    node.grow("a")
    tree.nodes.add(node)
    assert tree.seen == ["first a", "second a"]


# ------------------------------------------------------------------- chains


def test_messages_know_their_chain_and_their_cause(tree: Tree) -> None:
    tree.children = {"a": ["b"]}
    with trace("request-17", "click-3"):
        tree.process("a")
    command, a, b = (tree.events[key]._metadata for key in ("command a", "first a", "first b"))
    assert {each.correlation_id for each in (command, a, b)} == {"request-17"}
    assert [each.causation_id for each in (command, a, b)] == ["click-3", command.id, a.id]
    assert {each.origin_stream for each in (command, a, b)} == {f"node:command-{command.id}"}


def test_a_chain_begins_with_its_command_and_ends_with_it(tree: Tree) -> None:
    tree.process("a")
    tree.process("b")
    first, second = (tree.events[f"first {name}"] for name in "ab")
    assert first.correlation_id != second.correlation_id
    assert tree.Grown(name="c").causation_id is None


# ------------------------------------------------------------------- failures


def test_a_command_that_fails_leaves_nothing_behind(tree: Tree) -> None:
    tree.during["command a"] = failing(KeyError("boom"))
    with pytest.raises(KeyError, match="boom"):
        tree.process("a")
    assert tree.seen == ["command a"]
    assert tree.stored() == []
    assert tree.nodes.query.count() == 0


def test_a_handler_that_fails_stops_no_other_and_keeps_the_event(tree: Tree) -> None:
    error = KeyError("boom")
    tree.children = {"a": ["b", "c"], "b": ["d"]}
    tree.during["first b"] = failing(error)
    with pytest.raises(KeyError) as caught:
        tree.process("a")
    assert caught.value is error
    assert tree.seen[1:] == [f"{by} {of}" for of in "abc" for by in ("first", "second")]
    assert tree.stored() == ["a", "b", "c"], "what the failed handler wrote is rolled back"


@dataclass(frozen=True)
class FrozenError(Exception):
    why: str


def test_an_error_that_takes_no_note_stops_no_other_handler_either(tree: Tree) -> None:
    tree.during["first a"] = failing(FrozenError("boom"))
    with pytest.raises(FrozenError):
        tree.process("a")
    assert tree.seen == ["command a", "first a", "second a"]


def test_several_failures_are_a_group_in_the_order_in_which_they_happened(tree: Tree) -> None:
    errors = [KeyError("first a"), ValueError("second a"), OSError("second b")]
    tree.children = {"a": ["b"]}
    tree.during["second a"] = failing(errors[1])
    tree.during["second b"] = failing(errors[2])
    with pytest.raises(ExceptionGroup, match="2 failures; every other handler has run") as caught:
        tree.process("a")
    assert list(caught.value.exceptions) == errors[1:]
    tree.during["first a"] = failing(errors[0])
    with pytest.raises(ExceptionGroup) as caught:
        tree.process("a")
    assert list(caught.value.exceptions) == errors[:2]


def test_a_failing_block_is_one_failure_among_those_of_handlers(tree: Tree) -> None:
    def work() -> None:
        with tree.domain.unit_of_work():
            tree.process("a")
            raise OSError("block")

    with pytest.raises(OSError, match="block"):
        work()
    assert tree.seen == ["command a", "first a", "second a"], "the command had committed"
    tree.during["second a"] = failing(KeyError("second"))
    with pytest.raises(ExceptionGroup) as caught:
        work()
    assert [type(each) for each in caught.value.exceptions] == [OSError, KeyError]


@pytest.mark.parametrize("where", ["command a", "first a", "second a"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_an_interruption_goes_through_at_once(tree: Tree, where: str, error: BaseException) -> None:
    tree.children = {"a": ["b"]}
    tree.during[where] = failing(error)
    with pytest.raises(type(error)) as caught:
        tree.process("a")
    assert caught.value is error
    assert tree.seen[-1] == where
    assert tree.stored() == {"command a": [], "first a": ["a"], "second a": ["a", "b"]}[where]
    del tree.during[where]
    tree.process("z")
    assert tree.seen[-1] == "second z", "the next call is not disturbed"


class Interrupted:
    """A context variable; an interrupt comes right after it was set."""

    def __init__(self, variable: contextvars.ContextVar[Any]) -> None:
        self.get, self.reset, self._set = variable.get, variable.reset, variable.set

    def set(self, value: object) -> Any:
        token = self._set(value)
        if value is not None:
            raise KeyboardInterrupt
        return token


@pytest.mark.parametrize("where", ["current_trace", "current_unit_of_work", "_current_run"])
@pytest.mark.parametrize("way", ["process", "add", "deliver"])
def test_an_interrupt_before_a_handler_leaves_nothing_open(
    tree: Tree, where: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = tree.Node()
    node.grow("a")

    def deliver() -> None:
        transaction = tree.domain.storage.begin()
        unit = tree.domain.processor.unit_in(transaction)
        reaction = tree.domain.registry.reactions[0]
        tree.domain.processor.run_in(unit, reaction, node._events[0])
        tree.domain.processor.committed(unit, reaction, node._events[0])

    ways = {"process": lambda: tree.process("a"), "add": lambda: tree.nodes.add(node)}
    interrupted: Any = Interrupted(getattr(processing, where))

    def in_a_context_of_its_own() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(processing, where, interrupted)
            with pytest.raises(KeyboardInterrupt):
                ways.get(way, deliver)()
        assert current_trace.get() is None
        unit = current_unit_of_work.get()
        assert unit is None or unit.finished
        tree.process("z")
        assert tree.seen[-1] == "second z"
        assert "z" in tree.stored()

    contextvars.copy_context().run(in_a_context_of_its_own)


def test_a_storage_that_breaks_off_leaves_nothing_set(tree: Tree) -> None:
    tree.domain.storage.close()
    with pytest.raises(StorageError):
        tree.process("a")
    assert tree.seen == []


# ------------------------------------------------------------------- conflicts


def test_a_command_is_handled_again_after_a_conflict_with_fresh_state(tree: Tree) -> None:
    tree.nodes.add(tree.Node(id="n1"))
    seen: list[Any] = []

    def conflict() -> None:
        node = tree.nodes.get("n1")
        seen.append((node.grown, node))
        if len(seen) < 3:
            transaction = tree.domain.storage.begin()
            stored = transaction.load("node", "n1")
            assert stored is not None
            version = stored.version
            data = b'{"id":"n1","grown":%d}' % version
            transaction.save("node", Document("n1", version + 1, 0, data), expected=version)
            transaction.commit()
        node.grown += 10
        tree.nodes.add(node)

    tree.during["command a"] = conflict
    assert tree.process("a") == "grew a"
    assert [grown for grown, _ in seen] == [0, 1, 2]
    assert len({id(node) for _, node in seen}) == 3
    assert tree.nodes.get("n1").grown == 12
    assert tree.seen.count("command a") == 3
    assert tree.stored() == ["a"], "what the lost attempts wrote is not there"


def test_a_conflict_that_stays_is_raised_after_the_retries(tree: Tree) -> None:
    error = ConcurrencyError("node-n1", expected=1, found=2)
    tree.during["command a"] = failing(error)
    with pytest.raises(ConcurrencyError) as caught:
        tree.process("a")
    assert caught.value is error
    assert tree.seen == ["command a"] * 3


def test_other_failures_are_not_tried_again(tree: Tree) -> None:
    tree.during["command a"] = failing(KeyError())
    tree.during["second b"] = failing(ConcurrencyError("node-n1", expected=1, found=2))
    with pytest.raises(KeyError):
        tree.process("a")
    with pytest.raises(ConcurrencyError):
        tree.process("b")
    assert tree.seen.count("command a") == tree.seen.count("second b") == 1


# ------------------------------------------------------------------- calls inside of calls


def test_a_command_inside_a_command_commits_first_and_returns(tree: Tree) -> None:
    returned: list[str] = []
    tree.during["command a"] = lambda: returned.append(tree.process("b"))
    assert tree.process("a") == "grew a"
    assert returned == ["grew b"]
    assert tree.stored() == ["b", "a"]
    assert tree.seen == [*("command a", "command b", "first b", "second b", "first a", "second a")]


def test_a_command_inside_outlives_the_failure_of_the_outer_one(tree: Tree) -> None:
    def work() -> None:
        tree.process("b")
        raise KeyError("outer")

    tree.during["command a"] = work
    with pytest.raises(KeyError, match="outer"):
        tree.process("a")
    assert tree.stored() == ["b"]
    assert tree.seen == ["command a", "command b", "first b", "second b"]


def test_a_failure_inside_may_be_dealt_with_outside(tree: Tree) -> None:
    def work() -> None:
        with pytest.raises(KeyError):
            tree.process("b")

    tree.during["command b"] = failing(KeyError())
    tree.during["command a"] = work
    assert tree.process("a") == "grew a"
    assert tree.stored() == ["a"]


def test_a_command_inside_an_event_handler_has_its_place_in_the_chain(tree: Tree) -> None:
    tree.during["first a"] = lambda: tree.process("b")
    tree.process("a")
    assert tree.seen == [*("command a", "first a", "command b", "second a", "first b", "second b")]
    a, b = tree.events["first a"], tree.events["command b"]
    assert (b.causation_id, b.correlation_id) == (a._metadata.id, a.correlation_id)


def test_a_unit_of_work_inside_a_handler_is_the_handlers_own(tree: Tree) -> None:
    def work() -> None:
        with tree.domain.unit_of_work() as unit:
            assert current_unit_of_work.get() is unit
            tree.nodes.add(tree.Node(id="n1"))
        raise KeyError("later")

    tree.during["command a"] = work
    with pytest.raises(KeyError, match="later"):
        tree.process("a")
    assert "n1" not in tree.nodes


def test_what_is_started_in_a_call_and_outlives_it_is_on_its_own(tree: Tree) -> None:
    """A task or a thread may begin with a copy of the context in which a handler ran."""
    copies: list[contextvars.Context] = []
    tree.during["command a"] = lambda: copies.append(contextvars.copy_context())
    tree.process("a")
    copies[0].run(tree.process, "late")
    assert tree.seen[-3:] == ["command late", "first late", "second late"]
    node = tree.Node(id="n1")
    node.grow("later")
    copies[0].run(tree.nodes.add, node)
    assert tree.seen[-2:] == ["first later", "second later"]
    assert "n1" in tree.nodes


def test_a_thread_that_outlives_the_call_it_was_started_in_loses_no_event(tree: Tree) -> None:
    """It may be in the middle of a call of its own when that one ends."""
    inside, ended = threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def start() -> None:
        context = contextvars.copy_context()
        threads.append(threading.Thread(target=context.run, args=(tree.process, "inner")))
        threads[0].start()
        assert inside.wait(60)

    def linger() -> None:
        inside.set()
        assert ended.wait(60)

    tree.during["command a"] = start
    tree.during["command inner"] = linger
    tree.process("a")
    ended.set()
    threads[0].join(60)
    assert tree.stored() == ["a", "inner"]
    assert tree.seen[-2:] == ["first inner", "second inner"]


# ------------------------------------------------------------------- several domains, threads


def test_two_domains_call_each_other_each_in_its_own_storage() -> None:
    one, two = Tree("one"), Tree("two")
    names: list[str] = []

    def into_two() -> None:
        names.append(current_domain.name)
        two.process("b")
        names.append(current_domain.name)

    def back_to_one() -> None:
        names.append(current_domain.name)
        one.nodes.add(one.Node(id="from-two"))
        assert "from-two" in one.nodes
        one.process("c")

    one.during["command a"] = into_two
    two.during["second b"] = back_to_one
    one.process("a")
    assert names == ["one", "two", "one"]
    assert two.seen == ["command b", "first b", "second b"]
    assert one.seen == [*("command a", "command c", "first c", "second c", "first a", "second a")]
    assert (one.stored(), two.stored()) == (["c", "a"], ["b"])


def test_threads_process_side_by_side_and_do_not_meet(tree: Tree) -> None:
    barrier = threading.Barrier(4)
    tree.nodes.add(tree.Node(id="n1"))

    def work(number: int) -> None:
        barrier.wait()
        for turn in range(50):
            name = f"{number}.{turn}"
            tree.children[name] = [f"{name}.child"]
            assert tree.process(name) == f"grew {name}"

    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(work, number) for number in range(4)]:
            each.result(60)
    assert len(tree.stored()) == 4 * 50 * 2
    for number in range(4):
        own = [each for each in tree.seen if each.split()[1].startswith(f"{number}.")]
        assert own[:5] == [
            *(f"command {number}.0", f"first {number}.0", f"second {number}.0"),
            *(f"first {number}.0.child", f"second {number}.0.child"),
        ]


# ------------------------------------------------------------------- which handlers


def test_a_source_stream_lets_only_chains_through_that_began_there(tree: Tree) -> None:
    domain = Domain("shop")
    seen: list[str] = []

    @domain.aggregate
    class Order(Aggregate):
        def place(self) -> None:
            self.raise_(Placed(by=self.id))

    @domain.aggregate
    class Basket(Aggregate): ...

    @domain.event(part_of=Order)
    class Placed(Event):
        by: str

    @domain.command(part_of=Basket)
    class Buy(Command): ...

    @domain.command(part_of=Order)
    class Place(Command): ...

    @domain.command_handler(part_of=Order)
    class Orders:
        @handle(Buy)
        def buy(self, command: Buy) -> None:
            self.place(command)

        @handle(Place)
        def place(self, command: Command) -> None:
            order = Order(id=type(command).__name__)
            order.place()
            current_domain.repository_for(Order).add(order)

    @domain.on(Placed, source_stream="basket")
    def from_baskets(event: Placed) -> None:
        seen.append(f"basket {event.by}")

    @domain.event_handler(part_of=Order, source_stream="order")
    class FromOrders:
        @handle(Placed)
        def see(self, event: Placed) -> None:
            seen.append(f"order {event.by}")

    domain.init(traverse=False)
    domain.process(Place())
    domain.process(Buy())
    order = Order(id="alone")
    order.place()
    domain.repository_for(Order).add(order)
    assert seen == ["order Place", "basket Buy", "order alone"]


def test_a_handler_that_reads_another_category_than_its_events_is_refused() -> None:
    domain = Domain("shop")

    @domain.aggregate
    class Order(Aggregate): ...

    @domain.aggregate
    class Inventory(Aggregate): ...

    @domain.event(part_of=Order)
    class Placed(Event): ...

    @domain.event_handler(part_of=Inventory)
    class Stock:
        @handle(Placed)
        def reduce(self, event: Placed) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Stock.reduce .*stream_category='order'"):
        domain.init(traverse=False)


def test_a_command_without_a_handler_is_refused_with_what_was_found(tree: Tree) -> None:
    class Cut(Command):
        name: str

    for refused in (Cut(name="a"), tree.Grown(name="a"), tree.Grow, None):
        with pytest.raises(ConfigurationError) as caught:
            tree.domain.process(refused)  # type: ignore[arg-type]
        assert f"domain 'tree' has no handler for {refused!r}" in str(caught.value)
        assert "@domain.command_handler" in str(caught.value)


def test_only_events_of_the_domain_are_dispatched(tree: Tree) -> None:
    class Felled(Event): ...

    for refused in (Felled(), tree.Grow(name="a"), "Grown", None):
        with pytest.raises(ConfigurationError, match="is no event of this domain; register"):
            tree.domain.dispatch(refused)  # type: ignore[arg-type]
    assert tree.seen == []


# ------------------------------------------------------------------- observers


def test_observers_are_told_each_step_in_order(tree: Tree) -> None:
    steps: list[Step] = []
    tree.children = {"a": ["b"]}
    tree.domain.observers.append(steps.append)
    tree.during["second b"] = failing(KeyError("boom"))
    with pytest.raises(KeyError):
        tree.process("a")
    tree.domain.observers.clear()
    told = [
        f"{step.kind} {getattr(step.message, 'name', None)} {step.handler or ''}".strip()
        for step in steps
    ]
    assert told == [
        *("received a", "handling a Growing.grow", "persisted a Growing.grow"),
        *("handled a Growing.grow", "handling a First.see", "persisted a First.see"),
        *("handled a First.see", "handling a second", "handled a second"),
        *("handling b First.see", "handled b First.see", "handling b second", "failed b second"),
    ]
    persisted = [step for step in steps if step.kind == "persisted"]
    assert [[event.name for event in step.events] for step in persisted] == [["a"], ["b"]]  # type: ignore[attr-defined]
    assert persisted[0].aggregate is tree.Node
    assert str(persisted[0].stream).startswith("node-")
    assert isinstance(steps[-1].error, KeyError)


def test_observers_are_told_of_what_happens_outside_of_handlers(tree: Tree) -> None:
    steps: list[Step] = []
    tree.domain.observers.append(steps.append)
    tree.nodes.add(tree.Node(id="n1"))
    tree.domain.dispatch(tree.Grown(name="x"))
    assert [(step.kind, step.handler, step.stream) for step in steps[:2]] == [
        ("persisted", None, "node-n1"),
        ("received", None, None),
    ]
    assert steps[0].message is None


def test_observers_are_told_of_a_removal(tree: Tree) -> None:
    tree.nodes.add(tree.Node(id="n1"))
    steps: list[Step] = []
    tree.domain.observers.append(steps.append)
    tree.nodes.remove(tree.nodes.get("n1"))
    assert [(step.kind, step.stream) for step in steps] == [("removed", "node-n1")]


def test_a_block_that_failed_inside_a_unit_of_work_spoils_it(tree: Tree) -> None:
    def grow_two() -> None:
        tree.nodes.add(tree.Node(id="n1"))
        with suppress(KeyError), tree.domain.unit_of_work():
            tree.nodes.add(tree.Node(id="n2"))
            raise KeyError("n2")

    with pytest.raises(HappenedError, match="a block inside this unit of work failed"):
        _in_unit_of_work(tree, grow_two)
    assert "n1" not in tree.nodes
    assert "n2" not in tree.nodes


def _in_unit_of_work(tree: Tree, work: Callable[[], None]) -> None:
    with tree.domain.unit_of_work():
        work()


def test_a_handler_that_returns_a_coroutine_is_run_to_its_end(tree: Tree) -> None:
    async def later() -> None:
        tree.seen.append("later")

    @tree.domain.on(tree.Grown)
    def hidden(event: Any) -> Any:
        return later()

    tree.domain.init(traverse=False)
    tree.process("a")
    assert "later" in tree.seen


def test_an_observer_may_come_and_go_while_it_is_told(tree: Tree) -> None:
    told: list[str] = []

    def once(step: Step) -> None:
        told.append(f"once {step.kind}")
        tree.domain.observers.remove(once)

    tree.domain.observers += [once, lambda step: told.append(step.kind)]
    tree.domain.dispatch(tree.Grown(name="x"))
    assert told[:3] == ["once received", "received", "handling"]


# ------------------------------------------------------------------- garbage


def unreachable_after(call: Callable[[], object]) -> int:
    """How many objects a call leaves that only the garbage collector can free."""
    call()
    while gc.collect():
        pass  # what is freed may free more: of tests that ran before
    gc.disable()
    try:
        call()
        return gc.collect()
    finally:
        gc.enable()


def test_processing_leaves_no_garbage(tree: Tree) -> None:
    tree.children = {"a": ["b"]}
    assert unreachable_after(lambda: [tree.process("a") for _ in range(10)]) == 0


@pytest.mark.parametrize("where", ["command a", "second a"])
def test_a_failure_leaves_no_garbage(tree: Tree, where: str) -> None:
    def fail() -> None:
        raise KeyError("boom")

    def work() -> None:
        with suppress(KeyError):
            tree.process("a")

    tree.during[where] = fail
    assert unreachable_after(work) == 0


def test_ten_thousand_commands_leave_what_is_stored_and_no_more() -> None:
    domain = Domain("counter")

    @domain.aggregate
    class Counter(Aggregate):
        n: int = 0

    @domain.command(part_of=Counter)
    class Count(Command): ...

    @domain.command_handler(part_of=Counter)
    class Counting:
        @handle(Count)
        def count(self, command: Count) -> None:
            counters = current_domain.repository_for(Counter)
            counter = counters.get("c1")
            counter.n += 1
            counters.add(counter)

    domain.init(traverse=False)
    domain.repository_for(Counter).add(Counter(id="c1"))
    command = Count()
    for _ in range(100):
        domain.process(command)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(10_000):
        domain.process(command)
    gc.collect()
    assert len(gc.get_objects()) - before < 50
    assert domain.repository_for(Counter).get("c1").n == 10_100
