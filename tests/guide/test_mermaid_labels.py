"""Labels that hold any text are drawn as they are, by the real Mermaid in a real browser."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Route

from happened import Event
from happened.diagrams import sequence_diagram
from happened.hooks import Step
from happened.mermaid import Flowchart

MERMAID = Path(__file__).parents[2] / "node_modules/mermaid/dist"
ADDRESS = "http://mermaid.test/"

DRAW = """async (texts) => {
  const { default: mermaid } = await import("/mermaid.esm.min.mjs");
  mermaid.initialize({
    startOnLoad: false, suppressErrorRendering: true, sequence: { mirrorActors: false },
  });
  const find = (selector) => [...document.querySelectorAll(selector)];
  const left = (text) => text.x.baseVal[0].value;
  const drawn = [];
  for (const [number, text] of texts.entries()) {
    await mermaid.parse(text);
    document.body.innerHTML = (await mermaid.render(`drawing${number}`, text)).svg;
    drawn.push(Object.fromEntries(Object.entries({
      nodes: find(".node .nodeLabel"),
      arrows: find("g.edgeLabel p"),
      boxes: find(".cluster-label p"),
      participants: find("text.actor").sort((one, other) => left(one) - left(other)),
      messages: find(".messageText"),
      notes: find(".noteText"),
    }).map(([kind, found]) => [kind, found.map((each) => each.textContent)])));
  }
  return drawn;
}"""

Drawn = dict[str, list[str]]
Draw = Callable[[list[str]], list[Drawn]]

NASTY = [
    *(
        "end",
        "graph",
        "subgraph x",
        "participant",
        "as",
        "note over p1",
        "click",
        "default",
        "o",
        "x",
    ),
    *(
        'a"b',
        "<b>x</b>",
        "<lambda>",
        "<br/>",
        "x;y",
        "end;end",
        "#",
        "#35;",
        "#quot;",
        "&amp;",
        "&",
    ),
    *(
        "[x]",
        "(x)",
        "{x}",
        "|x|",
        "[[x]]",
        "([x])",
        "@{shape: x}",
        ":::x",
        "x--x",
        "o---o",
        "\\",
        "\\n",
    ),
    *(
        "`code`",
        "`**x**`",
        "**x**",
        "_x_",
        "__init__",
        "~~x~~",
        "1. x",
        "1) x",
        "- x",
        "# x",
        "> x",
    ),
    *(
        "---",
        "===",
        "[x](y)",
        "![x](y)",
        "<!-- x -->",
        "http://x.y",
        "www.x.y",
        "x@y.zz",
        "$$x^2$$",
    ),
    *("%% x", "%%{init: {}}%%", "wrap:x", "nowrap: x", "accTitle: x", "style:#x;", "classDef:#x;"),
    *(
        "fa:fa-car",
        "javascript:alert(1)",
        "Größe",
        "日本語",
        "😀",
        "👨‍👩‍👧",
        "ﬂ°",
        "¶ß",
        "ﬂ°°35¶ß",
        "_",
        ".",
    ),
    *("a_b.c", "x" * 119, "CamelCase" * 9, "\u0301", "\ufe0f"),
]

# What a screen shows: letters, marks, numbers, punctuation, symbols, private use, and spaces.
visible = st.text(st.characters(categories=("L", "M", "N", "P", "S", "Co", "Zs")), max_size=60)
ascii_signs = st.text("end <>\"'#;:&%|[](){}`*_~-=+.,\\/!?@$^1x", max_size=20)
anything = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@pytest.fixture(scope="module")
def draw(chromium: Browser) -> Draw:
    def answer(route: Route) -> None:
        name = urlsplit(route.request.url).path.strip("/")
        if name:
            route.fulfill(path=MERMAID / name)
        else:
            route.fulfill(body="<!doctype html><title>Mermaid</title>", content_type="text/html")

    page = chromium.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.route(f"{ADDRESS}**", answer)
    page.goto(ADDRESS)

    def draw(texts: list[str]) -> list[Drawn]:
        said.clear()
        drawn: list[Drawn] = page.evaluate(DRAW, texts)
        assert not said, said
        return drawn

    return draw


def flowchart(texts: list[str]) -> str:
    """Every text in every shape, beside an arrow and above a box."""
    flow = Flowchart()
    for number, text in enumerate(texts):
        flow.box(number, text)
        for shape in ("command", "handler", "aggregate", "event"):
            flow.node(shape, (shape, number), text, box=number)
        flow.arrow(("command", number), ("handler", number), f"{text}|")
    return flow.text("TB")


def sequence(texts: list[str]) -> str:
    """Every text as the name of a handler, an aggregate, an event and an error."""
    steps: list[Step] = []
    for text in texts:
        event = type(text, (Event,), {})()
        about = {"message": event, "handler": f"{text}.x"}
        steps.append(Step(kind="handling", **about))
        steps.append(Step(kind="persisted", aggregate=type(text, (), {}), events=(event,), **about))
        steps.append(Step(kind="failed", error=type(text, (Exception,), {})(), **about))
    return sequence_diagram(steps)


def bare(text: str) -> str:
    """A text without white space, and without the sign that parts two characters in a label."""
    return "".join(text.split()).replace("\u200c", "")


def check(draw: Draw, texts: list[str]) -> None:
    """Draw the texts, and see that what the drawings show is the same text."""
    chart, diagram = draw([flowchart(texts), sequence(texts)])
    shown = sorted(map(bare, texts))
    assert sorted(map(bare, chart["nodes"])) == sorted(shown * 4)
    assert sorted(map(bare, chart["arrows"])) == sorted(f"{text}|" for text in shown)
    assert sorted(map(bare, chart["boxes"])) == shown
    names = [bare(text) for text in texts]
    twice = [name for name in names for _ in "12"]
    assert bare("".join(diagram["notes"])) == "".join(names)
    assert bare("".join(diagram["participants"])) == "caller" + "".join(twice)
    assert bare("".join(diagram["messages"])) == "".join(f"{n}persist{n}" for n in names)


def test_labels_that_mean_something_to_mermaid_are_drawn_as_they_are(draw: Draw) -> None:
    for start in range(0, len(NASTY), 24):
        check(draw, NASTY[start : start + 24])


once = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@once
@given(texts=st.lists((visible | ascii_signs).filter(bare), min_size=4, max_size=8, unique_by=bare))
def test_labels_of_any_visible_characters_are_drawn_as_they_are(
    draw: Draw, texts: list[str]
) -> None:
    check(draw, texts)


@once
@given(texts=st.lists(anything, min_size=4, max_size=8))
def test_labels_of_any_characters_at_all_leave_the_drawing_valid(
    draw: Draw, texts: list[str]
) -> None:
    chart, _ = draw([flowchart(texts), sequence(texts)])
    assert len(chart["nodes"]) == 4 * len(texts)
