import assert from "node:assert/strict";
import { test } from "node:test";
import { outline } from "../src/outline.ts";
import { follow, named, type Recorded } from "../src/trace.ts";

const PROGRAM = `# A shop.
@shop.aggregate
class Order(Aggregate):
    def confirm(self) -> None:
        """Say so:
class Confirmed: is no class here
        """
        self.raise_(
            OrderConfirmed(
                order_id=self.id,
            )
        )

    def ship(self) -> None:
        event = OrderShipped(text="self.raise_(OrderConfirmed(")  # OrderConfirmed()
        self.raise_(event)


@shop.event(part_of=Order)
class OrderConfirmed(Event):
    order_id: str


class Orders:
    @handle(
        ConfirmOrder,
    )
    def confirm(
        self, command: ConfirmOrder
    ) -> None:
        def inner(): return 1

        order.confirm()
        # the end


async def print_slip(event): ...


class Mail:
    def __call__(self, event): ...
`;

const message = (name: string, id: string, kind: "command" | "event" = "event") => ({
  kind,
  name,
  data: {},
  id,
});
const step = (kind: string, rest: Partial<Recorded> = {}): Recorded => ({
  kind,
  message: null,
  sent_by: null,
  handler: null,
  aggregate: null,
  events: [],
  error: null,
  ...rest,
});
const command = message("ConfirmOrder", "c1", "command");
const event = message("OrderConfirmed", "e1");
const orders = { name: "Orders.confirm" };
const slip = { name: "print_slip" };
const broken = { name: "ValueError", text: "no copies" };

const shown = (recorded: Recorded[], program = "") => {
  const { lanes, steps } = follow(recorded, program);
  return steps.map(({ text, from, to, label }) => [
    text,
    `${lanes[from]?.name} ${lanes[to]?.name}`,
    label,
  ]);
};

test("classes and functions are found with their decorators, whatever brackets and quotes hold", () => {
  assert.deepEqual(
    outline(PROGRAM).map(({ name, lines }) => [name, ...lines]),
    [
      ["Order", 2, 16],
      ["Order.confirm", 4, 12],
      ["Order.ship", 14, 16],
      ["OrderConfirmed", 19, 21],
      ["Orders", 24, 33],
      ["Orders.confirm", 25, 33],
      ["Orders.confirm.inner", 31, 31],
      ["print_slip", 37, 37],
      ["Mail", 40, 41],
      ["Mail.__call__", 41, 41],
    ],
  );
});

test("what is no program yet has an outline all the same", () => {
  for (const text of ["", "class", "def f(", '"""', "class A:\n  def f(self):\n    x = (", "\\"]) {
    assert.ok(outline(text).length <= 2, text);
  }
});

test("a command, its commit and its event go from lane to lane", () => {
  const recorded = [
    step("received", { message: command }),
    step("handling", { message: command, handler: orders }),
    step("persisted", { message: command, handler: orders, aggregate: "Order", events: [event] }),
    step("handled", { message: command, handler: orders }),
    step("handling", { message: event, handler: slip }),
    step("handled", { message: event, handler: slip }),
  ];
  assert.deepEqual(shown(recorded), [
    ["The caller sends ConfirmOrder.", "caller caller", ""],
    ["Orders.confirm handles ConfirmOrder.", "caller Orders", "ConfirmOrder"],
    ["Order is persisted with OrderConfirmed.", "Orders Order", "persist"],
    ["Orders.confirm is done.", "Orders Orders", ""],
    ["OrderConfirmed is dispatched to print_slip.", "Order print_slip", "OrderConfirmed"],
    ["print_slip is done.", "print_slip print_slip", ""],
  ]);
  assert.deepEqual(
    follow(recorded, PROGRAM).steps.map(({ lines }) => lines),
    [
      [], // the program has no class ConfirmOrder
      [[25, 33]],
      [
        [4, 12], // the method that raised the event, and no other that only names it
        [19, 21],
      ],
      [[25, 33]],
      [[37, 37]],
      [[37, 37]],
    ],
  );
});

test("a handler that is an object has the lines of its __call__", () => {
  const [only] = follow([step("handling", { handler: { name: "Mail" } })], PROGRAM).steps;
  assert.deepEqual(only?.lines, [[41, 41]]);
});

test("where two methods raise an event, none is said to have raised it", () => {
  const twice = PROGRAM.replace("event = OrderShipped(", "event = OrderConfirmed(");
  const committed = step("persisted", { aggregate: "Order", events: [event] });
  assert.deepEqual(follow([committed], twice).steps[0]?.lines, [[19, 21]]);
});

test("a command that fails goes back to who sent it, an event that fails does not", () => {
  const sent = message("TakeCopies", "c2", "command");
  const stock = { name: "Stock.take" };
  assert.deepEqual(
    shown([
      step("received", { message: event }),
      step("handling", { message: event, handler: slip }),
      step("received", { message: sent, sent_by: 1 }),
      step("handling", { message: sent, handler: stock }),
      step("failed", { message: sent, handler: stock, error: broken }),
      step("failed", { message: event, handler: slip, error: broken }),
    ]),
    [
      ["The caller dispatches OrderConfirmed.", "caller caller", ""],
      ["OrderConfirmed is dispatched to print_slip.", "caller print_slip", "OrderConfirmed"],
      ["print_slip sends TakeCopies.", "print_slip print_slip", ""],
      ["Stock.take handles TakeCopies.", "print_slip Stock", "TakeCopies"],
      ["Stock.take fails with ValueError: no copies", "Stock print_slip", "ValueError"],
      ["print_slip fails with ValueError: no copies", "print_slip print_slip", "ValueError"],
    ],
  );
});

test("a handler that is called again keeps its failure, and is called again", () => {
  assert.deepEqual(
    shown([
      step("received", { message: command }),
      step("handling", { message: command, handler: orders }),
      step("failed", { message: command, handler: orders, error: broken }),
      step("handling", { message: command, handler: orders }),
    ]).slice(2),
    [
      ["Orders.confirm fails with ValueError: no copies", "Orders Orders", "ValueError"],
      ["Orders.confirm is called again with ConfirmOrder.", "Orders Orders", "ConfirmOrder, again"],
    ],
  );
});

test("several events, none, a removal, and a message without a handler are said", () => {
  const events = [message("A", "a"), message("B", "b"), message("C", "c")];
  assert.deepEqual(
    shown([
      step("persisted", { aggregate: "Book", events }),
      step("persisted", { aggregate: "Book" }),
      step("removed", { aggregate: "Book", events: events.slice(0, 2) }),
      step("received", { message: event }),
      step("unheard of", {}),
    ]),
    [
      ["Book is persisted with A, B and C.", "caller Book", "persist"],
      ["Book is persisted. It raised no event.", "caller Book", "persist"],
      ["Book is removed with A and B.", "caller Book", "remove"],
      [
        "The caller dispatches OrderConfirmed; it has no handler.",
        "caller caller",
        "OrderConfirmed, no handler",
      ],
    ],
  );
});

test("lines are named", () => {
  assert.equal(named([3, 3]), "line 3");
  assert.equal(named([3, 5]), "lines 3 to 5");
});
