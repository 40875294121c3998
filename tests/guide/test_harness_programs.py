"""The checks of programs and products are checked on mistakes made on purpose."""

import contextvars
import importlib
import json
import logging
import os
import sys
import textwrap
from pathlib import Path

import pytest

from tests.guide import running
from tests.guide.masks import mask
from tests.guide.pages import make_page
from tests.guide.products import make_source
from tests.guide.programs import main, make_all
from tests.guide.services import absent, required
from tests.guide.small import SHOWN, Small
from tools.doctor import find_postgres

CHANGED = {
    "a changed output": ("shop.out", "left: 2", "left: 7", "shop.out:1: is stale"),
    "a changed drawing": ("shop.mmd", "reader", "writer", "shop.mmd:2: is stale"),
    "a wrong comment": ("shop.py", "#> 4", "#> 5", "shop.py:14: is stale"),
    "a comment below no print": (
        "shop.py",
        "left = sell",
        "#> 1\nleft = sell",
        "shop.py:11: this #>",
    ),
    "a raising program": (
        "shop.py",
        "left = sell(3)",
        "left = sell(0)",
        "shop.py:6: raised ValueError",
    ),
    "a drawing of nothing": (
        "shop.py",
        "\\n    shop -->|{left}| reader",
        "",
        "shop.py:1: its drawing .mmd shows nothing: 'flowchart LR'",
    ),
    "no Python": ("shop.py", "left = ", "left == = ", "shop.py:11: raised"),
    "standard error": (
        "shop.py",
        "left = sell",
        'import sys\nprint("x", file=sys.stderr)\nleft = sell',
        "shop.py:1: wrote to standard error",
    ),
    "a warning": (
        "shop.py",
        "left = sell",
        'import warnings\nwarnings.warn("old")\nleft = sell',
        "shop.py:12: raised UserWarning: old",
    ),
    "an unknown service": ("shop.py", '"""A shop', '# needs: oracle\n"""A shop', None),
    "an error that does not come": (
        "shop.py",
        '"""A shop',
        '# raises: ValueError\n"""A shop',
        "shop.py:1: its first lines say it raises ValueError",
    ),
    "a section marked twice": (
        "shop.py",
        "left = sell",
        "# --8<-- [start:sell]\n# --8<-- [end:sell]\nleft = sell",
        None,
    ),
    "a section nobody shows": (
        "shop.py",
        "left = sell(3)",
        "# --8<-- [start:more]\nleft = sell(3)\n# --8<-- [end:more]",
        "shop.py:11: no page shows section 'more'",
    ),
    "a section that does not end": (
        "shop.py",
        "# --8<-- [end:sell]\n",
        "",
        "shop.py:3: section 'sell'",
    ),
    "a drawing no longer made": (
        "shop.py",
        "diagram =",
        "drawing =",
        "shop.mmd: is no longer made",
    ),
    "an output no longer made": (
        "shop.py",
        'print("left:", left)\nprint(left * 2)\n#> 4\n',
        "",
        "shop.out: is no longer made",
    ),
}


@pytest.mark.parametrize("name, old, new, expected", CHANGED.values(), ids=CHANGED)
def test_a_wrong_program_or_product_is_caught(
    small: Small, name: str, old: str, new: str, expected: str | None
) -> None:
    path = f"docs_src/ch01_shop/{name}"
    assert old in small.read(path)
    small.write(path, small.read(path).replace(old, new))
    if expected is None:
        assert "ch01_shop/shop.py" in "".join(
            [*small.problems(), *(made.skipped or "" for made in make_all(small.guide))]
        )
    else:
        assert small.problem().startswith(f"docs_src/ch01_shop/{expected}")


@pytest.mark.parametrize("name", ["shop.out", "shop.mmd"])
def test_a_missing_product_is_caught(small: Small, name: str) -> None:
    (small.root / "docs_src/ch01_shop" / name).unlink()
    expected = f"docs_src/ch01_shop/{name}: is missing; run `make examples`"
    assert expected in small.problems()


ORPHANS = {
    "ch01_shop/other.out": "there is no program other.py that makes it",
    "ch01_shop/other.flow.mmd": "there is no program other.py that makes it",
    "ch01_shop/other.trace.json": "there is no program other.py that makes it",
    "ch01_shop/shop.more.trace.json": "no page shows it",
    "ch01_shop/other.py": "no page shows it",
    "ch01_shop/session.console": "no page shows it",
    "ch01_shop/notes.md": "no rule covers such a file",
    "stray.py": "lies in no chapter's folder",
}


@pytest.mark.parametrize("name", ORPHANS)
def test_a_file_that_belongs_nowhere_is_caught(small: Small, name: str) -> None:
    small.write(f"docs_src/{name}", "")
    assert small.problem() == f"docs_src/{name}: {ORPHANS[name]}"


def test_a_product_that_no_page_shows_is_caught(small: Small) -> None:
    small.page(*(block for kind, block in SHOWN.items() if kind != "diagram"))
    assert small.problem() == "docs_src/ch01_shop/shop.mmd: no page shows it"


def test_data_that_no_program_opens_is_caught(small: Small) -> None:
    small.write("docs_src/ch01_shop/shop.toml", "copies = 3\n")
    small.page(*SHOWN.values(), '```toml\n--8<-- "ch01_shop/shop.toml"\n```\n')
    assert small.problem() == "docs_src/ch01_shop/shop.toml:1: no program of ch01_shop opened it"


def test_settings_that_the_library_loads_are_found_to_be_loaded(small: Small) -> None:
    small.write("docs_src/ch01_shop/pyproject.toml", '[tool.happened]\nstorage = "memory://"\n')
    loads = 'import tomllib\n\nwith open("pyproject.toml", "rb") as file:\n    tomllib.load(file)\n'
    small.write("docs_src/ch01_shop/settings.py", loads)
    small.page(
        *SHOWN.values(),
        '```toml\n--8<-- "ch01_shop/pyproject.toml"\n```\n',
        '```python\n--8<-- "ch01_shop/settings.py"\n```\n',
    )
    assert small.problems() == []


TWO_IDS = """\
from uuid import uuid4

first = uuid4()
second = {second}
print(f"{{first}} caused {{second}}")
"""


@pytest.mark.parametrize("was, becomes", [("uuid4()", "first"), ("first", "uuid4()")])
def test_two_ids_that_become_one_or_one_that_becomes_two_are_caught(
    small: Small, was: str, becomes: str
) -> None:
    small.write("docs_src/ch01_shop/ids.py", TWO_IDS.format(second=was))
    shows = (
        '```python\n--8<-- "ch01_shop/ids.py"\n```\n',
        '```text\n--8<-- "ch01_shop/ids.out"\n```\n',
    )
    small.page(*SHOWN.values(), *shows)
    assert main(small.root) == 0
    assert small.problems() == []
    small.write("docs_src/ch01_shop/ids.py", TWO_IDS.format(second=becomes))
    assert small.problem().startswith("docs_src/ch01_shop/ids.out:1: is stale")


def test_what_varies_is_masked_with_its_identity_and_what_does_not_is_left() -> None:
    one, two = "0192f0c1-2222-7abc-8def-001122334455", "7f3a9c52-6c0e-4bb1-9d5e-1234567890ab"
    assert mask(f"order-{one} {two} {one}") == "order-<id 1> <id 2> <id 1>"
    assert mask("at 2026-11-21 08:31:02.123456+00:00, 2026-11-21T08:31Z") == "at <time>, <time>"
    assert mask("datetime.datetime(2026, 1, 2, 3, 4, tzinfo=UTC)") == "<time>, tzinfo=UTC)"
    assert mask("took 12.5 ms or 0.012s, not 5 s") == "took <duration> or <duration>, not 5 s"
    assert mask("<object at 0x7f12ab34cd56>") == "<object at <address 1>>"
    assert mask("in /var/tmp/happened-ab12_xyz/shop.py") == "in <path 1>/shop.py"
    assert mask("version 3.11, 2026-11-21, 4 copies") == "version 3.11, 2026-11-21, 4 copies"


def test_a_program_that_raises_shows_how_its_traceback_ends(small: Small) -> None:
    text = '# raises: ValueError\n"""Fails."""\n\nprint("before")\nraise ValueError("sold out")\n'
    path = small.write("docs_src/ch01_shop/fails.py", text)
    made = make_source(small.guide, path)
    assert made.problems == []
    assert made.files[path.with_suffix(".out")] == (
        "before\nTraceback (most recent call last):\n  ...\nValueError: sold out\n"
    )


def test_a_program_with_several_drawings_makes_several_files(small: Small) -> None:
    text = 'whole_diagram = "flowchart LR\\n a"\norder_diagram = "flowchart TD\\n a"\n'
    path = small.write("docs_src/ch01_shop/draws.py", text)
    made = make_source(small.guide, path)
    names = {file.name: text for file, text in made.files.items() if file.suffix == ".mmd"}
    assert names == {
        "draws.whole.mmd": "flowchart LR\n a\n",
        "draws.order.mmd": "flowchart TD\n a\n",
    }


RECORDED = """\
from happened import Aggregate, Domain, Event, record

shelf = Domain("shelf")


@shelf.aggregate
class Book(Aggregate): ...


@shelf.event(part_of=Book)
class BookAdded(Event): ...


shelf.init(traverse=False)
with record(shelf) as recording:
    book = Book()
    book.raise_(BookAdded())
    shelf.repository_for(Book).add(book)
diagram = recording.diagram()
"""


def test_a_program_that_draws_a_recording_makes_its_trace(small: Small) -> None:
    path = small.write("docs_src/ch01_shop/shop.py", RECORDED)
    trace = path.with_suffix(".trace.json")
    small.page('```python\n--8<-- "ch01_shop/shop.py"\n```\n', SHOWN["diagram"])
    path.with_suffix(".out").unlink()
    assert main(small.root) == 0
    (step,) = json.loads(trace.read_text(encoding="utf-8"))
    assert (step["kind"], step["aggregate"]) == ("persisted", "Book")
    assert [event["name"] for event in step["events"]] == ["BookAdded"]
    assert "line" not in trace.read_text(encoding="utf-8")
    written = trace.read_bytes()
    assert main(small.root) == 0
    assert trace.read_bytes() == written  # ids differ from run to run, and are masked
    assert small.problems() == []

    small.write("docs_src/ch01_shop/shop.trace.json", written.decode().replace("BookAdded", "X"))
    assert small.problem().startswith("docs_src/ch01_shop/shop.trace.json:2: is stale")
    trace.unlink()
    assert small.problem() == (
        "docs_src/ch01_shop/shop.trace.json: is missing; run `make examples`"
    )
    small.write("docs_src/ch01_shop/shop.trace.json", written.decode())
    small.write(
        "docs_src/ch01_shop/shop.py", RECORDED.replace("= recording.", "= 'a\\n' + recording.")
    )
    assert "docs_src/ch01_shop/shop.trace.json: is no longer made" in "\n".join(small.problems())


def test_a_program_that_needs_a_service_is_left_out_unless_services_are_required(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_URL", "postgresql://127.0.0.1:1/test")
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)
    path = small.write("docs_src/ch01_shop/stores.py", "# needs: postgres\nprint(1)\n")
    made = make_source(small.guide, path)
    reason = "needs postgres: PostgreSQL, which some tests and programs need, cannot be used at 127"
    assert str(made.skipped).startswith(f"docs_src/ch01_shop/stores.py {reason}")
    assert "\n" not in str(made.skipped)
    assert (made.problems, dict(made.checked)) == ([], {})
    assert made.waiting == {"programs": ["docs_src/ch01_shop/stores.py"]}
    monkeypatch.setenv("REQUIRE_SERVICES", "1")
    (problem,) = make_source(small.guide, path).problems
    assert problem.startswith(f"docs_src/ch01_shop/stores.py:1: {reason}")


def test_a_session_that_needs_a_service_is_left_out_and_the_rest_of_its_page_is_checked(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES_URL", "postgresql://127.0.0.1:1/test")
    monkeypatch.delenv("REQUIRE_SERVICES", raising=False)
    page = small.page(*SHOWN.values(), "```console\n$ psql $POSTGRES_URL\n```\n")
    made = make_page(small.guide, page)
    assert made.waiting == {"fences": ["docs/shop.md:19"]}
    assert len(made.checked["fences"]) == 4
    assert made.problems == []


def test_a_program_has_a_schema_of_its_own_that_is_dropped_whatever_happens(small: Small) -> None:
    if why := absent(["postgres"]):
        assert not required(), why
        pytest.skip(why)
    text = """\
        # needs: postgres
        # raises: ValueError
        import os
        import sys

        import psycopg

        url = os.environ["POSTGRES_URL"]
        plain, _, schema = url.partition("?schema=")
        connection = psycopg.connect(plain)
        connection.execute(f"CREATE TABLE {schema}.book (title text)")
        sys.left_open = connection
        print(schema)
        raise ValueError("with a transaction left open")
    """
    path = small.write("docs_src/ch01_shop/stores.py", textwrap.dedent(text))
    made = make_source(small.guide, path)
    vars(sys).pop("left_open").close()
    assert made.problems == []
    (schema, *_) = str(made.files[path.with_suffix(".out")]).splitlines()
    assert schema.startswith("guide_stores_")
    assert mask(schema) == "<schema 1>"
    psycopg = importlib.import_module("psycopg")
    with psycopg.connect(find_postgres().partition("?")[0]) as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [schema])
        assert found.fetchone() is None


LEAVES = """\
import contextvars, logging, os, sys
from shop import sell

assert "HAPPENED_STORAGE" not in os.environ
assert __name__ == "__main__" and sys.argv == ["leaves.py"]
contextvars.ContextVar("mine").set(1)
os.environ["MINE"] = "1"
logging.basicConfig(level="DEBUG", stream=sys.stdout)
sys.path.append("mine")
print(sell(2))
"""


def test_a_program_runs_alone_and_leaves_nothing_behind(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HAPPENED_STORAGE", "sqlite:///x.db")
    path = small.write("docs_src/ch01_shop/leaves.py", LEAVES)

    def state() -> list[object]:
        return [
            sorted(sys.modules),
            sys.modules["__main__"],
            sys.path[:],
            dict(os.environ),
            logging.getLogger().handlers[:],
            list(contextvars.copy_context()),
            Path.cwd(),
        ]

    before = state()
    made = make_source(small.guide, path)
    assert made.problems == []
    assert state() == before


LATER = """\
def later(name: str) -> None:
    print("later", name)
    #>


for name in ["a", "b"]:
    print("first", name)
    #>
later(
    "c",
)
print("unmarked")
later("d")
"""


def test_comments_stand_below_their_prints_in_whatever_order_they_ran(small: Small) -> None:
    path = small.write("docs_src/ch01_shop/later.py", LATER)
    made = make_source(small.guide, path)
    assert made.problems == []
    expected = LATER.replace("    #>\n\n", "    #> later c\n    #> later d\n\n", 1)
    assert made.files[path] == expected.replace(
        "    #>\nlater", "    #> first a\n    #> first b\nlater"
    )


def test_a_comment_below_a_print_of_several_lines_is_caught(small: Small) -> None:
    path = small.write("docs_src/ch01_shop/lines.py", 'print("a\\nb")\n#>\n')
    (problem,) = make_source(small.guide, path).problems
    assert (
        problem == "docs_src/ch01_shop/lines.py:1: prints several lines; leave its #> comment out"
    )


def test_a_program_that_hangs_is_caught(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "LIMIT", 0.05)
    path = small.write("docs_src/ch01_shop/hangs.py", "import time\ntime.sleep(60)\n")
    (problem,) = make_source(small.guide, path).problems
    assert "did not end within" in problem
