"""Programs run in a real browser, on a page that holds nothing but what runs them."""

import importlib.util
import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from tests.guide.browser import FLAGS, PATIENCE, window
from tests.guide.site import Site, serve
from tools.doctor import find_chromium

ROOT = Path(__file__).parents[2]
BOOKSHELF = (ROOT / "docs_src/ch08_event_handlers/bookshelf.py").read_text(encoding="utf-8")

RUN = """async (program) => {
  const { Session } = await import(new URL("session.js", location));
  window.session ??= new Session(new URL("assets/run/", location).href);
  const seen = { out: "", err: "", slow: 0 };
  const begun = performance.now();
  let started = begun;
  const ended = await session.run(program, {
    started: () => { started = performance.now(); },
    slow: () => { seen.slow += 1; window.slow?.(); },
    output: (stream, text) => { seen[stream] += text; },
  });
  return { ...ended, ...seen, seconds: (performance.now() - started) / 1000 };
}"""

KEPT = """async () => {
  const worker = navigator.serviceWorker;
  const needed = [location.href, "page.js", "session.js"];
  const kept = () => Promise.all(needed.map((each) => caches.match(each)));
  while (worker.controller?.state !== "activated" || !(await kept()).every(Boolean))
    await new Promise((resolve) => setTimeout(resolve, 50));
}"""
"""Waits until the page, and what it loads, is kept for offline use."""


WAITING = """async ([expected, scope]) => {
  const waits = async () => !!(await navigator.serviceWorker.getRegistration(scope)).waiting;
  while ((await waits()) !== expected) await new Promise((resolve) => setTimeout(resolve, 50));
}"""
"""Waits until there is a release that waits, or none any more."""

RELEASES = """async () => (await caches.keys()).filter((name) => / run /.test(name))
    .map((name) => name.split(" ").at(-1))"""
"""The releases that the service worker keeps."""


def make_site(folder: Path) -> None:
    """Write a page below a path of its own, and what runs programs."""
    spec = importlib.util.spec_from_file_location("runtime_of_site", ROOT / "docs/runtime.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.write_runtime(ROOT, folder)
    build = ["node_modules/.bin/esbuild", "frontend/src/session.ts", "--bundle", "--format=esm"]
    subprocess.run([*build, f"--outfile={folder / 'session.js'}"], cwd=ROOT, check=True)
    (folder / "index.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><script src="page.js"></script>',
        encoding="utf-8",
    )
    (folder / "page.js").write_text("document.title = 'The page'", encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the page as files."""
    made = tmp_path_factory.mktemp("site")
    make_site(made)
    return made


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Serve the page."""
    with serve(Site(folder), base="/guide/") as served:
        yield served.url


def release_again(folder: Path) -> None:
    """Publish another release in place of the first, whose worker has other variables."""
    run = folder / "assets/run"
    (python,) = run.glob("python-*")
    python.rename(run / "python-2222222222222222")
    listed = (run / "runtime.json").read_text(encoding="utf-8")
    version = json.loads(listed)["version"]
    listed = listed.replace(python.name, "python-2222222222222222").replace(version, "two")
    (run / "runtime.json").write_text(listed, encoding="utf-8")
    changes = {
        run / "worker.js": ('COLUMNS:"80"', 'COLUMNS:"81"'),
        folder / "sw.js": (version, "two"),
    }
    for path, (old, new) in changes.items():
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def page(chromium: Browser, address: str) -> Iterator[Page]:
    """Open the page, and keep it for all tests, with one session."""
    with window(chromium, address) as (opened, seen):
        opened.context.set_default_timeout(120_000)
        opened.goto(address)
        yield opened
        assert not seen.foreign
        assert not seen.wrong


def run(page: Page, text: str, name: str = "shelf.py", record: bool = False) -> dict[str, Any]:
    """Run a program in a page."""
    program = {"name": name, "text": text, "files": {}, "record": record}
    ended: dict[str, Any] = page.evaluate(RUN, program)
    return ended


def test_a_program_prints_what_the_guide_says_and_gives_its_trace(page: Page) -> None:
    ended = run(page, BOOKSHELF, record=True)
    output = ROOT / "docs_src/ch08_event_handlers/bookshelf.out"
    assert ended["out"] == output.read_text(encoding="utf-8")
    assert ended["ok"]
    kept = json.loads(output.with_suffix(".trace.json").read_text(encoding="utf-8"))
    assert [step["kind"] for step in ended["trace"]] == [step["kind"] for step in kept]


def test_an_endless_loop_is_told_of_and_stopped_and_the_next_run_works(page: Page) -> None:
    page.evaluate("() => { window.slow = () => session.stop(); }")
    ended = run(page, "while True: pass")
    page.evaluate("delete window.slow")  # nobody stops what comes next, however slow it is
    assert (ended["error"]["name"], ended["slow"]) == ("Stopped", 1)
    assert run(page, "print('next')")["out"] == "next\n"


@pytest.mark.parametrize(
    "text, name, said",
    [
        ("def f(): f()\nf()", "RecursionError", "calls may go 300 deep"),
        (
            "class A:\n    def __repr__(self): return repr(self)\nrepr(A())",
            "RecursionError",
            "calls may go 300 deep",
        ),
        (
            (
                "from pydantic import BaseModel, model_validator\nclass A(BaseModel):\n    x: int\n"
                "    @model_validator(mode='after')\n    def check(self):\n        return A(x=1)\n"
                "A(x=1)"
            ),
            "RecursionError",
            "calls may go 300 deep",
        ),
        ("def f(): f()\nimport sys\nsys.setrecursionlimit(5000)\nf()", "NotRun", "starts Python"),
        ("while True: print('x')", "TooMuchOutput", "2,000 lines"),
        ("input('name? ')", "EOFError", "write the answer into the program"),
        ("x = (", "SyntaxError", "never closed"),
        ("import nowhere", "ModuleNotFoundError", "Here are the standard library"),
        ("import threading\nthreading.Thread().start()", "RuntimeError", "threads cannot start"),
        ("import subprocess\nsubprocess.run('ls')", "OSError", "cannot be started in a web page"),
        ("import socket\nsocket.create_connection(('a', 1))", "OSError", "has no network"),
        ("x = [0] * 2**29", "MemoryError", "MemoryError"),
    ],
)
def test_bad_input_is_told_of_and_the_next_run_works(
    page: Page, text: str, name: str, said: str
) -> None:
    ended = run(page, text)
    assert ended["error"]["name"] == name
    assert said in ended["error"]["text"]
    assert run(page, "print('next')")["out"] == "next\n"


def test_coroutines_run_without_anything_of_the_browser_s(page: Page) -> None:
    ended = run(
        page,
        "import asyncio, time\nasync def main():\n    await asyncio.sleep(0.01)\n"
        "    time.sleep(0.01)\n    print('later')\nasyncio.run(main())\nasyncio.run(main())",
    )
    assert ended["out"] == "later\nlater\n"


def test_a_page_on_which_a_program_ran_loads_and_runs_offline(
    chromium: Browser, address: str
) -> None:
    with window(chromium, address) as (page, _):
        page.context.set_default_timeout(120_000)
        page.goto(address)
        assert page.evaluate("async () => !(await navigator.serviceWorker.getRegistration())")
        assert run(page, "print(1)")["out"] == "1\n"
        page.evaluate(KEPT)
        page.context.set_offline(True)
        page.reload()
        assert page.title() == "The page"
        assert run(page, "import sqlite3\nprint(2)")["out"] == "2\n"


def test_offline_with_nothing_kept_the_missing_file_is_named(
    chromium: Browser, address: str
) -> None:
    with window(chromium, address) as (page, _):
        page.goto(address)
        page.evaluate("import(new URL('session.js', location))")
        page.context.set_offline(True)
        error = run(page, "print(1)")["error"]
        assert error["name"] == "NotRun"
        assert "worker.js could not be loaded" in error["text"]
        page.context.set_offline(False)
        assert run(page, "print(1)")["out"] == "1\n"


def test_a_file_that_the_site_lacks_is_named(chromium: Browser, address: str) -> None:
    with window(chromium, address) as (page, _):
        page.context.route("**/bytecode.zip", lambda route: route.fulfill(status=404))
        page.goto(address)
        error = run(page, "print(1)")["error"]
        assert "should have bytecode.zip, and answered 404" in error["text"]


def test_what_is_kept_is_fetched_once(
    chromium: Browser, folder: Path, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[str] = []

    def note(handler: BaseHTTPRequestHandler, code: object = "-", size: object = "-") -> None:
        answered.append(urlsplit(handler.path).path.rpartition("/assets/run/")[2])

    monkeypatch.setattr(BaseHTTPRequestHandler, "log_request", note)
    context = chromium.browser_type.launch_persistent_context(  # as a reader's, not a private one
        tmp_path, executable_path=find_chromium(), args=FLAGS, timeout=PATIENCE
    )
    try:
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.goto(address)
        assert run(page, "print(1)")["out"] == "1\n"
        page.evaluate(KEPT)
        sizes = {
            name: (folder / "assets/run" / name).stat().st_size
            for name in answered
            if name.startswith("python-")
        }
        assert len(sizes) > 7
        again = sum(
            sizes[name] * (times - 1) for name, times in Counter(answered).items() if name in sizes
        )
        # What has just been loaded is asked of the browser's own cache, which on a busy machine
        # lacks some files, and one is half of it; without that, all of it would come again.
        assert again < sum(sizes.values()) * 0.9, f"{again} bytes came twice"
        answered.clear()
        page.reload()
        assert run(page, "print(2)")["out"] == "2\n"
        assert {"worker.js", "runtime.json"} <= {*answered}, "an old release would stay"
        assert not [name for name in answered if name.startswith("python-")]
    finally:
        context.close()


def test_a_new_release_is_used_at_once_and_the_old_one_goes_with_its_last_page(
    chromium: Browser, folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "site"
    shutil.copytree(folder, copy)
    program = "import os\nprint(os.environ['COLUMNS'])"
    with serve(Site(copy), base="/guide/") as served, window(chromium, served.url) as (page, seen):
        page.context.set_default_timeout(120_000)
        page.goto(served.url)
        assert run(page, program)["out"] == "80\n"
        page.evaluate(KEPT)
        old = page.evaluate(RELEASES)
        release_again(copy)
        page.reload()
        assert run(page, program)["out"] == "81\n"
        assert any("/python-2222222222222222/" in url for url in seen.asked)
        page.evaluate(WAITING, [True, served.url])
        assert page.evaluate(RELEASES) == [*old, "two"]
        # The last page of the old release is left for one of the same host that is no part of the
        # guide: a page that came back too soon would be one more of the old release.
        page.goto(urljoin(served.url, "/"))
        page.evaluate(WAITING, [False, served.url])
        page.goto(served.url)
        page.evaluate(KEPT)
        assert page.evaluate(RELEASES) == ["two"]


@pytest.mark.parametrize(
    "reaching",
    [
        "from js import fetch",
        "from js import XMLHttpRequest",
        "from js import WebSocket",
        "from js import caches",
        "from js import indexedDB",
        "from js import BroadcastChannel",
        "from js import Worker",
        "from js import localStorage",
        "from js import navigator\nnavigator.storage.getDirectory()",
        "from js import navigator\nnavigator.serviceWorker.register",
        "from pyodide.http import open_url\nopen_url('runtime.json')",
        "from pyodide.code import run_js\nrun_js('caches.keys()')",
        "from pyodide.code import run_js\nrun_js('(0, eval)(\"fetch\")(location.href)')",
        "import js\njs.Object.getPrototypeOf(js.Object.getPrototypeOf(js.self)).fetch('x')",
        "import pyodide_js, asyncio\nasyncio.run(pyodide_js.loadPackage('x.whl'))",
    ],
)
def test_a_program_reaches_neither_the_network_nor_what_the_site_keeps(
    page: Page, reaching: str
) -> None:
    ended = run(page, reaching)
    assert not ended["ok"], ended
    assert run(page, "print('next')")["out"] == "next\n"
