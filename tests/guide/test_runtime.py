"""What runs programs in a reader's page, called here with CPython: one process, run after run."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

SERVE = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("happened_in_page", sys.argv[1])
runtime = importlib.util.module_from_spec(spec)
spec.loader.exec_module(runtime)
answers = sys.stdout
for request in sys.stdin:
    said = []
    ended = json.loads(runtime.run(request, lambda stream, text: said.append([stream, text])))
    print(json.dumps({"said": said, **ended}), file=answers, flush=True)
"""

Run = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Give a function that runs a program as the worker does, in a process that is kept."""
    command = [sys.executable, "-c", SERVE, str(ROOT / "frontend/src/runtime.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    ) as process:

        def ask(text: str, name: str = "shelf.py", record: bool = False, **files: str) -> Any:
            beside = {name.replace("__", "."): text for name, text in files.items()}
            program = {"name": name, "text": text, "files": beside, "record": record}
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps(program) + "\n")
            process.stdin.flush()
            ended = json.loads(process.stdout.readline())
            ended["out"] = "".join(text for stream, text in ended["said"] if stream == "out")
            ended["err"] = "".join(text for stream, text in ended["said"] if stream == "err")
            return ended

        yield ask
        process.kill()


def test_a_program_runs_as_main_under_its_own_name(run: Run) -> None:
    ended = run(
        "import inspect, sys\nfrom pathlib import Path\ndef own(): return 1\n"
        "print(__name__, sys.argv, Path(__file__).name)\nprint(inspect.getsource(own), end='')\n"
    )
    assert ended["out"] == "__main__ ['shelf.py'] shelf.py\ndef own(): return 1\n"
    assert ended["ok"]
    assert "error" not in ended


def test_prints_come_line_by_line_and_the_last_part_without_an_end(run: Run) -> None:
    ended = run("import sys\nprint('a', 1)\nprint('b', file=sys.stderr)\nprint('c', end='')")
    assert ended["said"] == [["out", "a 1\n"], ["err", "b\n"], ["out", "c"]]


def test_what_lies_beside_a_program_is_imported_and_read(run: Run) -> None:
    text = "import packing\nprint(packing.size(), open('sizes.txt').read())"
    ended = run(text, packing__py="def size(): return 3", sizes__txt="1 2")
    assert ended["out"] == "3 1 2\n"
    assert run("import packing")["error"]["name"] == "ModuleNotFoundError"
    assert run(text, packing__py="def size(): return 4", sizes__txt="5")["out"] == "4 5\n"


LEFT = {
    "a variable": ("left = 1", "print('left' in globals())", "False"),
    "a patch of the library": (
        "import happened.identifiers as m; m.new_id = lambda: 'x'",
        "import happened; print(len(happened.new_id()))",
        "36",
    ),
    "a patch of the standard library": (
        "import time; time.sleep = None",
        "import time; print(time.sleep is None)",
        "False",
    ),
    "a patch of a class of the library": (
        "from happened import Aggregate; Aggregate.raise_ = Aggregate.own = None",
        "from happened import Aggregate as A; print(A.raise_ is None, hasattr(A, 'own'))",
        "False False",
    ),
    "a patch of a class of Pydantic": (
        "import pydantic; pydantic.BaseModel.model_dump = pydantic.BaseModel.own = None",
        "import pydantic; print(pydantic.BaseModel.model_dump is None)",
        "False",
    ),
    "a patch of a class of the standard library": (
        "import pathlib; pathlib.Path.exists = lambda path: True",
        "import pathlib; print(pathlib.Path('nowhere').exists())",
        "False",
    ),
    "a patch of a built-in": (
        "import builtins; builtins.len = lambda x: 7",
        "print(len('ab'))",
        "2",
    ),
    "the environment": (
        "import os; os.environ['HAPPENED_STORAGE'] = 'x'",
        "import os; print(os.environ.get('HAPPENED_STORAGE'))",
        "None",
    ),
    "the folder": ("import os; os.chdir('/')", "import os; print(os.listdir())", "['shelf.py']"),
    "arguments": ("import sys; sys.argv.append(1)", "import sys; print(sys.argv)", "['shelf.py']"),
    "the search path": (
        "import sys; sys.path.clear()",
        "import sys; print(len(sys.path) > 2)",
        "True",
    ),
    "a module made by hand": (
        "import sys, types; sys.modules['own'] = types.ModuleType('own')",
        "import sys; print('own' in sys.modules)",
        "False",
    ),
    "a logger": (
        "import logging; logging.basicConfig(level=1); logging.getLogger('a').setLevel(5)",
        (
            "import logging; print(logging.root.handlers, logging.root.level, "
            "logging.getLogger('a').level)"
        ),
        "[] 30 0",
    ),
    "warnings": (
        "import warnings; warnings.simplefilter('ignore')",
        "import warnings; warnings.warn('old'); print('here')",
        "here",
    ),
    "a context variable": (
        "from happened.tracing import current_trace; current_trace.set('x')",
        "from happened.tracing import current_trace; print(current_trace.get())",
        "None",
    ),
    "the recursion limit": (
        "import sys; sys.setrecursionlimit(5000)",
        "import sys; print(sys.getrecursionlimit())",
        "300",
    ),
    "a running loop": (
        "import asyncio; asyncio._set_running_loop(asyncio.new_event_loop())",
        "import asyncio\nasync def one(): return 1\nprint(asyncio.run(one()))",
        "1",
    ),
    "a seed": (
        "import random; random.seed(1); print(random.random())",
        "import random; print(random.random() == 0.13436424411240122)",
        "False",
    ),
    "a profiler": (
        "import sys; sys.setprofile(lambda *_: None)",
        "import sys; print(sys.getprofile())",
        "None",
    ),
    "silence": ("import sys; sys.stdout = None; print('lost')", "print('shown')", "shown"),
    "a closed standard output": (
        "import sys; sys.stdout.close(); sys.stdout = None",
        "print('shown')",
        "shown",
    ),
    "no modules": ("import sys; sys.modules.clear()", "print('shown')", "shown"),
    "standard output": (
        "import io, sys; sys.stdout = io.StringIO(); print('lost')",
        "print('shown')",
        "shown",
    ),
    "a fault point": (
        "from happened.faults import arm; arm(print)",
        "from happened.faults import at; at('commit: done'); print('none')",
        "none",
    ),
}


@pytest.mark.parametrize("left", LEFT)
def test_nothing_is_left_of_an_earlier_run(run: Run, left: str) -> None:
    first, second, printed = LEFT[left]
    assert run(first)["ok"]
    assert run(second)["out"] == f"{printed}\n"


def test_a_traceback_shows_the_program_and_the_library_and_nothing_of_ours(run: Run) -> None:
    ended = run("from happened import Domain\n\nshelf = Domain('shelf')\nshelf.process(1)\n")
    error = ended["error"]
    assert not ended["ok"]
    assert error["line"] == 4
    assert error["text"].startswith(
        'Traceback (most recent call last):\n  File "shelf.py", line 4, in <module>\n'
        "    shelf.process(1)\n"
    )
    assert "domain.py" in error["text"]
    assert "runtime.py" not in error["text"]
    assert error["text"].splitlines()[-1].startswith("happened.errors.ConfigurationError: ")


def test_an_error_has_the_program_s_last_line_and_its_causes(run: Run) -> None:
    text = "import own\ndef call():\n    own.fail()\ntry:\n    call()\nexcept KeyError as e:\n"
    error = run(f"{text}    raise ValueError('no') from e\n", own__py="def fail(): {}[1]")["error"]
    assert (error["name"], error["line"]) == ("ValueError", 7)
    assert 'File "own.py", line 1, in fail' in error["text"]
    assert "direct cause" in error["text"]
    assert "runtime.py" not in error["text"]


def test_a_mistake_in_the_syntax_has_its_line_and_no_frames(run: Run) -> None:
    error = run("x = 1\nprint(x\n")["error"]
    assert (error["name"], error["line"]) == ("SyntaxError", 2)
    assert error["text"].startswith('  File "shelf.py", line 2\n    print(x\n')


@pytest.mark.parametrize(
    "code, status",
    [("", None), ("None", None), ("0", None), ("256", None), ("True", 1), ("3", 3), ("-1", 255)],
)
def test_to_exit_has_no_traceback_and_a_status(run: Run, code: str, status: int | None) -> None:
    ended = run(f"import sys\nprint('a', end='')\nsys.exit({code})")
    assert (ended["out"], ended["err"], ended.get("status")) == ("a", "", status)
    assert ended["ok"] is (status is None)
    assert "error" not in ended


def test_a_program_that_exits_with_a_text_prints_it_and_has_failed(run: Run) -> None:
    ended = run("import sys\nprint('a', end='')\nsys.exit('no shelf')")
    assert (ended["ok"], ended["out"], ended["err"]) == (False, "a", "no shelf\n")
    assert ended["status"] == 1
    assert run("raise SystemExit('x' * 100_001)")["error"]["name"] == "TooMuchOutput"


def test_an_error_on_the_way_out_is_told_rather_than_the_status(run: Run) -> None:
    ended = run("import atexit, sys\natexit.register(lambda: 1 / 0)\nsys.exit(3)")
    assert ended["error"]["name"] == "ZeroDivisionError"
    assert "status" not in ended


def test_what_is_left_for_the_exit_runs_last_first(run: Run) -> None:
    ended = run("import atexit\natexit.register(print, 1)\natexit.register(print, 2)\nprint(0)")
    assert ended["out"] == "0\n2\n1\n"


def test_to_ask_for_input_says_what_to_do(run: Run) -> None:
    ended = run("input('name? ')")
    assert ended["error"]["name"] == "EOFError"
    assert "write the answer into the program" in ended["error"]["text"]
    assert ended["out"] == "name? "


@pytest.mark.parametrize(
    "text, name, said",
    [
        ("import nowhere.far", "ModuleNotFoundError", "Here are the standard library, Pydantic,"),
        ("import _winapi", "ModuleNotFoundError", "_winapi needs what a web page does not have"),
        ("def f():\n    f()\nf()", "RecursionError", "calls may go 300 deep"),
        (
            (
                "import asyncio\nasync def main():\n    await asyncio.to_thread(print)\n"
                "asyncio.run(main())"
            ),
            "RuntimeError",
            "threads cannot start in a web page",
        ),
        (
            (
                "import asyncio\nasync def main():\n    await asyncio.Event().wait()\n"
                "asyncio.run(main())"
            ),
            "RuntimeError",
            "waits for something that nothing will do",
        ),
    ],
)
def test_what_a_page_cannot_do_is_said(run: Run, text: str, name: str, said: str) -> None:
    error = run(text)["error"]
    assert error["name"] == name
    assert said in error["text"]


def test_a_module_of_the_library_that_is_not_there_is_not_for_want_of_packages(run: Run) -> None:
    assert "Here are" not in run("import happened.nowhere")["error"]["text"]


@pytest.mark.parametrize(
    "text",
    [
        "while True: print('x')",
        "import sys\nwhile True: print('x', file=sys.stderr)",
        "print('x' * 10**7)",
        "try:\n    for _ in range(3000): print('x')\nexcept BaseException: pass",
    ],
)
def test_too_much_output_is_cut(run: Run, text: str) -> None:
    ended = run(text)
    assert (ended["ok"], ended["error"]["name"]) == (False, "TooMuchOutput")
    assert "2,000 lines and 100,000 characters" in ended["error"]["text"]
    printed = ended["out"] + ended["err"]
    assert printed.count("\n") == 2000 or len(printed) == 100_000
    assert run("print('next')")["out"] == "next\n"


def test_a_program_may_print_as_much_as_is_shown(run: Run) -> None:
    assert run("for _ in range(2000): print('x')")["ok"]


def test_a_long_traceback_is_cut_in_its_middle(run: Run) -> None:
    ended = run("raise ValueError('\\n'.join(map(str, range(1000))))")
    lines = ended["error"]["text"].splitlines()
    assert len(lines) == 61
    assert "lines are left out here" in lines[30]
    assert lines[-1] == "999"


RECORDED = """
from happened import Aggregate, Domain, Event, record
shelf = Domain("shelf")
@shelf.aggregate
class Book(Aggregate):
    def lend(self): self.raise_(BookLent(book_id=self.id))
@shelf.event(part_of=Book)
class BookLent(Event):
    book_id: str
@shelf.on(BookLent)
def tell(event):
    pass
shelf.init()
def lend(name):
    with record(shelf):
        book = Book(id=name)
        book.lend()
        shelf.repository_for(Book).add(book)
lend("first")
lend("second")
"""


def test_the_last_recording_is_the_trace(run: Run) -> None:
    trace = run(RECORDED, record=True)["trace"]
    [handled] = [step for step in trace if step["kind"] == "handled"]
    assert handled["message"]["data"] == {"book_id": "second"}
    assert handled["handler"] == {"name": "tell", "file": "shelf.py", "line": 10, "last_line": 12}
    assert "trace" not in run(RECORDED)
    assert "trace" not in run("print()", record=True)


def test_what_was_recorded_before_an_error_is_kept(run: Run) -> None:
    ended = run(f"{RECORDED}\nraise ValueError", record=True)
    assert (ended["ok"], bool(ended["trace"])) == (False, True)


def test_coroutines_run_and_time_passes(run: Run) -> None:
    ended = run(
        "import asyncio, time\nasync def wait(s, name):\n    await asyncio.sleep(s)\n"
        "    print(name)\nasync def main():\n"
        "    await asyncio.gather(wait(0.3, 'later'), wait(0.01, 'soon'))\n"
        "start = time.monotonic()\nasyncio.run(main())\nasyncio.run(main())\n"
        "print(time.monotonic() - start >= 0.6)"
    )
    assert ended["out"] == "soon\nlater\nsoon\nlater\nTrue\n"
