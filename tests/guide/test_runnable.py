"""What the site gives a page to run programs with: the programs, Python, wheels and scripts."""

import gzip
import hashlib
import json
import re
import subprocess
import textwrap
from collections import Counter
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from playwright.sync_api import Browser

from docs.programs import NOT_RUNNABLE, PART, as_data, reader_copy, runnable, set_up
from docs.runtime import node
from tests.guide.browser import window
from tests.guide.conftest import ROOT
from tests.guide.fences import find_fences
from tests.guide.masks import mask
from tests.guide.places import Guide
from tests.guide.products import run_program
from tests.guide.running import short_traceback
from tests.guide.site import Site, serve
from tools.environment import WHEELS, requirements

SOURCES = ROOT / "docs_src"
PROGRAMS = sorted(runnable(SOURCES))
BLOCK = re.compile(
    r'<div class="[^"]*\bhighlight" data-program="(?P<program>[^"]+)"'
    r'(?: data-section="(?P<section>[^"]+)")?>.*?<code[^>]*>(?P<code>.*?)</code>',
    re.DOTALL,
)
ANNOTATION = re.compile(r"[ \t]*# \(\d+\)!")
ADDED = re.compile(
    r'<meta http-equiv="Content-Security-Policy"[^>]*>| data-(?:program|section)="[^"]*"'
    r'|<script[^>]* src="[^"]*assets/run/main\.js"[^>]*></script>'
)
LOADS = re.compile(
    r"""\b(?:fetch|import|importScripts|Worker|URL)\(\s*["'`](?:https?:)?//([^"'`/]+)"""
    r"""|(?:from|import)\s*["'](?:https?:)?//([^"'/]+)"""
)
MOST = 40 * 1024
"""How many bytes, compressed, a page may load for programs that nobody runs."""

pytestmark = pytest.mark.xdist_group("site")


@cache
def handed_out(site_folder: Path, program: str) -> Any:
    path = site_folder / "assets/programs" / f"{program}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def python_of(site: Site) -> Path:
    """Where the site has Python and the wheels; the folder is named by what is in it."""
    (folder,) = (site.folder / "assets/run").glob("python-*")
    return folder


def test_the_site_has_every_program_that_runs_and_no_other(site: Site) -> None:
    folder = site.folder / "assets/programs"
    for ending in (".py", ".json"):
        there = [path.relative_to(folder).with_suffix("") for path in folder.rglob(f"*{ending}")]
        assert sorted(map(Path.as_posix, there)) == PROGRAMS
    for program in PROGRAMS:
        text = (folder / f"{program}.py").read_text(encoding="utf-8")
        assert text == handed_out(site.folder, program)["text"]


def test_every_block_of_a_program_that_runs_names_it(site: Site) -> None:
    for source in sorted((ROOT / "docs").rglob("*.md")):
        address = source.relative_to(ROOT / "docs").with_suffix("").as_posix()
        page = site.pages["" if address == "index" else f"{address.removesuffix('/index')}/"]
        shown = Counter((block["program"], block["section"]) for block in BLOCK.finditer(page.html))
        fences = [
            fence.snippets[0]
            for fence in find_fences(source.read_text(encoding="utf-8"))
            if fence.language == "python" and len(fence.snippets) == 1 and not fence.typed
        ]
        wanted = Counter((one.path.removesuffix(".py"), one.section) for one in fences)
        assert shown == {one: count for one, count in wanted.items() if one[0] in PROGRAMS}, source


def test_the_lines_of_a_section_are_those_that_the_page_shows(site: Site) -> None:
    compared = Counter[str]()
    for address, page in site.pages.items():
        for block in BLOCK.finditer(page.html):
            program = handed_out(site.folder, block["program"])
            lines = program["text"].splitlines()
            if block["section"]:
                first, last = program["sections"][block["section"]]
                lines = lines[first - 1 : last]
            shown = ANNOTATION.sub("", unescape(re.sub(r"<[^>]+>", "", block["code"])))
            assert shown.rstrip("\n") == textwrap.dedent("\n".join(lines)), (
                f"{address}: {block['program']} {block['section'] or ''}"
            )
            compared[block["program"]] += 1
    assert sorted(compared) == PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_as_handed_out_prints_what_is_recorded(
    site: Site, name: str, tmp_path: Path
) -> None:
    program = handed_out(site.folder, name)
    chapter = tmp_path / "docs_src" / name.partition("/")[0]
    chapter.mkdir(parents=True)
    for file, text in {program["name"]: program["text"], **program["files"]}.items():
        (chapter / file).write_text(text, encoding="utf-8")
    run = run_program(Guide(tmp_path), chapter / program["name"]).run
    out = run.out + (short_traceback(run.error, "  ") if run.error else "")
    assert mask(out) == mask(program["output"])
    assert mask(out) == mask((SOURCES / f"{name}.out").read_text(encoding="utf-8"))


def test_those_that_are_said_not_to_run_in_a_page_are_those_that_do_not(
    site: Site, tmp_path: Path
) -> None:
    parts = {name for name, why in NOT_RUNNABLE.items() if why == PART}
    assert not [name for name in parts if (SOURCES / f"{name}.out").exists()]
    names = sorted({*PROGRAMS, *NOT_RUNNABLE} - parts)
    programs = [as_data(SOURCES / f"{name}.py") for name in names]
    given = tmp_path / "programs.json"
    given.write_text(json.dumps(programs), encoding="utf-8")
    done = subprocess.run(
        [
            node(),
            ROOT / "tests/guide/runnable.mjs",
            python_of(site),
            ROOT / "frontend/src/runtime.py",
            given,
        ],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failed = {}
    for name, program, ended in zip(names, programs, json.loads(done.stdout), strict=True):
        printed, raised, _ = program["output"].partition("Traceback (most recent call last):")
        if mask(ended["output"]) != mask(printed) or bool(ended["error"]) != bool(raised):
            failed[name] = f"{ended['output']}{ended['error']}"
    assert failed.keys() == NOT_RUNNABLE.keys() - parts, failed.get(
        next(iter(failed.keys() - NOT_RUNNABLE.keys()), ""), "some that are listed do run"
    )


def test_every_file_of_python_is_what_was_pinned(site: Site) -> None:
    described = json.loads((site.folder / "assets/run/runtime.json").read_text(encoding="utf-8"))
    python = python_of(site)
    entries = requirements((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    pinned = "".join(entries[name] for name in WHEELS)
    brought = [name for name in described["wheels"] if not name.startswith("happened-")]
    assert len(brought) == len(WHEELS) == len(described["wheels"]) - 1
    for name in brought:
        digest = hashlib.sha256((python / "wheels" / name).read_bytes()).hexdigest()
        assert f"sha256:{digest}" in pinned, name
    for path in (python / "pyodide").iterdir():
        original = ROOT / "node_modules/pyodide" / path.name
        if path.suffix == ".zip":  # the standard library, to which the build adds bytecode
            assert sources_in(path) == sources_in(original)
        else:
            assert path.read_bytes() == original.read_bytes()


def sources_in(archive: Path) -> dict[str, bytes]:
    """Return the files of an archive by name, bytecode left out."""
    with ZipFile(archive) as opened:
        entries = [one for one in opened.infolist() if not one.is_dir()]
        return {one.filename: opened.read(one) for one in entries if one.filename[-4:] != ".pyc"}


def test_the_description_lists_what_is_there_and_the_service_worker_has_its_version(
    site: Site,
) -> None:
    run = site.folder / "assets/run"
    described = json.loads((run / "runtime.json").read_text(encoding="utf-8"))
    there = [path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()]
    assert sorted(described["files"]) == sorted(
        name for name in there if name != "runtime.json" and not name.endswith(".map")
    )
    assert 10_000_000 < described["bytes"] < 20_000_000
    worker = (site.folder / "sw.js").read_text(encoding="utf-8")
    assert described["version"] in worker
    assert "__VERSION__" not in worker


def test_a_page_that_is_only_read_loads_little_more(site: Site) -> None:
    run = site.folder / "assets/run"
    waiting, scripts = ["main.js"], set[str]()
    while waiting:  # what main.js needs at once, and what that needs
        scripts.add(name := waiting.pop())
        text = (run / name).read_text(encoding="utf-8")
        needed = re.findall(r'(?:from|\bimport)\s*"\./(?:\.\./)?([^"]+\.js)"', text)
        waiting += {one for one in needed if one not in scripts}
    always = sum(compressed((run / name).read_bytes()) for name in scripts)
    always += sum(
        compressed(path.read_bytes())
        for path in (ROOT / "docs/stylesheets").glob("*.css")
        if path.name != "happened.css"
    )
    for address, page in site.pages.items():
        before = compressed(ADDED.sub("", page.html).encode())
        more = always + compressed(page.html.encode()) - before
        assert 0 < more <= MOST, f"{address}: {more} bytes more"


def compressed(content: bytes) -> int:
    return len(gzip.compress(content, 6))


def test_nothing_that_runs_programs_loads_from_another_host(site: Site) -> None:
    ours = [*(site.folder / "assets/run").glob("*.js"), site.folder / "sw.js"]
    ours += (site.folder / "assets/run/chunks").glob("*.js")
    for path in ours:
        assert not LOADS.search(path.read_text(encoding="utf-8")), path.name
    assert LOADS.search('import("https://elsewhere.example/x.js")')
    assert LOADS.search('import x from"//elsewhere.example/x.js"')


def test_every_page_has_one_policy_that_names_its_own_scripts_alone(site: Site) -> None:
    policies = set()
    for address, page in site.pages.items():
        found = re.findall(
            r'<meta http-equiv="Content-Security-Policy" content="([^"]+)"', page.html
        )
        assert len(found) == 1, address
        assert page.html.index("Content-Security-Policy") < page.html.index("<script"), address
        policies.add(found[0])
    (policy,) = policies
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["connect-src"] == rules["worker-src"] == "'self'"
    scripts = rules["script-src"].split()
    assert scripts[0] == "'self'"
    assert all(re.fullmatch(r"'sha256-[\w+/]{43}='", one) for one in scripts[1:])
    assert "eval" not in policy


PROBE = """
const outcome = {};
const attempt = async (name, action) => {
  try { await action(); outcome[name] = "done"; } catch { outcome[name] = "refused"; }
};
const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
await attempt("WebAssembly", () => WebAssembly.compile(empty));
await attempt("text as code", () => new Function("return 1")());
await attempt("another host", () => fetch("http://127.0.0.1:9/"));
document.body.append(Object.assign(document.createElement("script"), { text: "inline = 1" }));
outcome["a new inline script"] = window.inline ? "done" : "refused";
window.outcome = outcome;
"""


def test_a_page_may_run_nothing_but_its_own_scripts(site: Site, chromium: Browser) -> None:
    with serve(site) as served, window(chromium, served.url) as (page, seen):
        probe = f"{served.url}probe.js"
        page.route(probe, lambda route: route.fulfill(body=PROBE, content_type="text/javascript"))
        page.goto(served.url)
        page.evaluate(
            "(src) => { const script = document.createElement('script');"
            " document.head.append(Object.assign(script, {src, type: 'module'})); }",
            probe,
        )
        page.wait_for_function("() => window.outcome")
        assert page.evaluate("() => window.outcome") == {
            "WebAssembly": "refused",
            "text as code": "refused",
            "another host": "refused",
            "a new inline script": "refused",
        }
        assert len([text for text in seen.console if "Content Security Policy" in text]) >= 2


def test_the_front_end_does_what_its_unit_tests_say() -> None:
    done = subprocess.run(
        [node(), "frontend/build.mjs", "--test"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^. pass [1-9]", done.stdout, re.MULTILINE), done.stdout


# Programs as a reader gets them


def test_no_mark_is_left_in_the_text_and_sections_count_its_lines() -> None:
    text, sections = reader_copy(
        "# needs: postgres\n\nimport os  # noqa: F401\n\n\n"
        "# --8<-- [start:all]\n# --8<-- [start:first]\nx = 1  # (!)\n\n\n# --8<-- [end:first]\n"
        "# --8<-- [start:second]\ny = 2  # (1)!\n# --8<-- [end:second]\n# --8<-- [end:all]\n"
    )
    assert text == "import os\n\n\nx = 1\n\n\ny = 2\n"
    assert sections == {"all": (4, 7), "first": (4, 4), "second": (7, 7)}


def test_files_that_a_program_names_or_imports_go_with_it(tmp_path: Path) -> None:
    texts = {
        "shop.py": 'import shelf\nfrom pathlib import Path\nPath("books.csv").read_text()\n',
        "shelf.py": "from paper import Paper  # noqa: F401\n",
        "paper.py": 'Paper = "shop.out"\n',
        "books.csv": "Emma,3\n",
        "shop.out": "3\n",
        "other.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    data = as_data(tmp_path / "shop.py")
    assert data["files"] == {
        "books.csv": "Emma,3\n",
        "paper.py": texts["paper.py"],
        "shelf.py": "from paper import Paper\n",
    }
    assert data["output"] == "3\n"


@pytest.mark.parametrize(
    "text, sections, folded",
    [
        ('"""A."""\nimport os\n\nshelf = 1\n\n\nclass A: ...\n', {}, (1, 4)),
        ("import os\nimport re\n\nshelf = 1\n", {"shelf": (4, 4)}, None),
        ("import os\nimport re\nimport sys\n\nshelf = 1\n", {"shelf": (5, 5)}, (1, 3)),
        ("import os\n\n\ndef f(): ...\n", {}, None),
    ],
)
def test_the_lines_above_the_first_section_are_folded(
    text: str, sections: dict[str, tuple[int, int]], folded: tuple[int, int] | None
) -> None:
    assert set_up(text, sections) == folded


def test_the_list_of_those_that_do_not_run_names_programs_that_exist() -> None:
    assert not [name for name in NOT_RUNNABLE if not (SOURCES / f"{name}.py").is_file()]
    assert not {*PROGRAMS} & NOT_RUNNABLE.keys()
