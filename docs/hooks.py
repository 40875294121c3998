"""What the site's build adds to MkDocs: front-end files, marks in programs, Markdown copies."""

from __future__ import annotations

import io
import itertools
import json
import logging
import posixpath
import re
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

import api
from fontTools import subset  # type: ignore[import-untyped]
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import Abort, PluginError
from mkdocs.livereload import LiveReloadServer
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page
from policy import write_policy
from programs import ANNOTATION, lines_shown, runnable, write_programs
from runtime import missing, write_runtime
from sessions import lines_kept, options_in_prose

ROOT = Path(__file__).parent.parent
MODULES = ROOT / "node_modules"
FONTS = {
    "figtree.woff2": "@fontsource-variable/figtree/files/figtree-latin-wght-normal.woff2",
    "plex-mono.woff2": "@fontsource/ibm-plex-mono/files/ibm-plex-mono-latin-400-normal.woff2",
}
# ASCII, and the signs that prose and output use; the reader's own fonts have the other letters.
ON_A_PHONE = 40  # columns of code that a phone shows
LETTERS = [*range(0x20, 0x7F), *map(ord, "\u00a0·×éüöä–—‘’“”•…←→−")]
MERMAID = "mermaid/dist"
# The size of each drawing, by its page and its place there; a browser test compares them.
SIZES: dict[str, list[int]] = json.loads((ROOT / "docs/diagrams.json").read_text(encoding="utf-8"))

BRACE = re.compile(r"""[{}]|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|url\([^'")][^)]*\)""")
SELECTOR = re.compile(r"(?:[^,()\[\]]|\([^()]*(?:\([^()]*\)[^()]*)*\)|\[[^\]]*\])+")
CONFIG = re.compile(
    r'(?P<name>[\w$]+)=(?P<helper>[\w$]+)\(\(\)=>(?P<copy>[\w$]+\(\{\},(?P<now>[\w$]+)\)),"getConfig"\)'
)
IMPORT = re.compile(r'(?:^|[;}\n])(?:import|export)\s*(?:[^"\'();]*?from)?\s*"(\.[^"]+)"')
FENCE = re.compile(r"^(?P<indent>[ \t>]*)(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)$")
PYTHON = re.compile(r"^\s*(?:\{?\s*\.?(?:python|py|pycon)\b)")
DIRECTIVE = re.compile(
    r"""^[ \t>]*-+8<-+[ \t]+["'](?P<name>[\w/]+)\.py(?::(?P<section>[\w-]+))?["']\s*$"""
)
NAMED = re.compile(
    r""" data-program="[^"]*"(?: data-section="[^"]*")?"""
)  # as `Directives` writes it
CLOSING = re.compile(r"(?P<indent>[ \t]*)[)\]}]+,?$")
LIST = re.compile(r"[ \t>]*1\.\s")
DIAGRAM = re.compile(r'<pre\s+class="mermaid"><code>(?P<source>.*?)\s*</code></pre>', re.DOTALL)
LINK = re.compile(r"(?P<open>\]\(|^\[[^\]]+\]:\s*)(?P<path>[^)#:\s]+\.md)(?P<anchor>#[^)\s]*)?")
CODE = re.compile(
    r'(?P<open><div class="[^"]*\bhighlight"[^>]*>(?:<span class="filename">.*?</span>)?)'
    r"<pre><span></span><code>(?P<code>.*?)</code>",
    re.DOTALL,
)
HEADING = re.compile(r'<h[1-6][^>]* id="[^"]*"[^>]*>(.*?)(?:<a class="headerlink"|</h)', re.DOTALL)

COUNTED = re.compile(r"\{(?P<guarantee>G\d+) (?P<storage>\w+): (?P<tests>\d+)\}")
# Written by a run of all tests of the guarantees: how many there were, and how many passed.
RESULTS = ROOT / ".cache/guarantees.json"

logging.getLogger("mkdocs.plugins.mermaid2.util").setLevel(logging.WARNING)  # it tells each page

shown: dict[str, str] = {}  # a page's Markdown with its snippets filled in, by the page's path
live: list[str] = []  # the command, if the guide is served while it is written
rendering: list[Page] = []  # the page that is being rendered
runs: set[str] = set()  # the programs that run in a page, by chapter and name
played: dict[str, str] = {}  # the programs whose run a page can play, by the drawing of the run


class Directives(Preprocessor):
    """Names the program in each fence that shows a section of one, or all, before it is filled."""

    def run(self, lines: list[str]) -> list[str]:
        lines = list(lines)
        for position in range(len(lines) - 2):
            fence, named = FENCE.match(lines[position]), DIRECTIVE.match(lines[position + 1])
            alone = named and end_of_fence(lines, position) == position + 2
            if fence and named and alone and PYTHON.match(fence["info"]) and named["name"] in runs:
                section = f' data-section="{named["section"]}"' if named["section"] else ""
                lines[position] += f' data-program="{named["name"]}"{section}'
        return lines


class Programs(Preprocessor):
    """Turns the marks in programs into highlighted lines, once the snippets are in."""

    def run(self, lines: list[str]) -> list[str]:
        plain, marked = [], []
        position = 0
        lines = filled(lines)
        while position < len(lines):
            end = end_of_fence(lines, position)
            piece = body = lines[position : end + 1]
            if end > position and PYTHON.match(FENCE.match(lines[position])["info"]):  # type: ignore[index]
                explained = LIST.match(next(filter(str.strip, lines[end + 1 :]), ""))
                program, numbers = show(lines[position + 1 : end], annotated=bool(explained))
                piece = [NAMED.sub("", lines[position]), *program, lines[end]]
                body = [opening(lines[position], numbers), *program, lines[end]]
            plain += piece
            marked += body
            position = end + 1
        for page in rendering:  # the first text is the page; docstrings on it come later
            shown.setdefault(page.file.src_uri, "\n".join(plain))
        return marked


def end_of_fence(lines: list[str], start: int) -> int:
    """Where the fence that opens at a line is closed; the line itself if none opens there."""
    opening = FENCE.match(lines[start])
    if opening is None:
        return start
    closing = re.compile(rf"^[ \t>]*{opening['ticks']}[ \t]*$")
    later = (number for number in range(start + 1, len(lines)) if closing.match(lines[number]))
    return next(later, start)


def filled(lines: list[str]) -> list[str]:
    """The lines of a page, with what became of the tests of each guarantee in the last full run.

    Where there was none, or one of other tests than the page counts, the number of tests stands.
    """

    def result(found: re.Match[str]) -> str:
        count = int(found["tests"])
        where = found["guarantee"], found["storage"]
        if results is None or results["counted"].get(where[0], {}).get(where[1]) != count:
            return f"{count} tests" if count > 1 else "1 test"
        return f"{results['passed'].get(where[0], {}).get(where[1], 0)} of {count} passed"

    if not any(COUNTED.search(line) for line in lines):
        return lines
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else None
    return [COUNTED.sub(result, line) for line in lines]


def show(program: list[str], *, annotated: bool) -> tuple[list[str], list[int]]:
    """What a reader sees of some lines of a program, and the numbers of the lines to highlight."""
    lines = lines_shown(program, annotated=annotated)
    body = [line.text for line in lines]
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        if line.highlighted:
            numbers += range(first_line(body[:number]) + 1, number + 1)
    return body, numbers


def first_line(body: list[str]) -> int:
    """Where the last line's statement begins, if that line only closes the statement's brackets."""
    end = len(body) - 1
    closing = CLOSING.match(body[end])
    if closing is None:
        return end
    opening = re.compile(rf"{closing['indent']}\S.*[(\[{{]$")
    return next((number for number in range(end - 1, -1, -1) if opening.match(body[number])), end)


def opening(fence: str, numbers: list[int]) -> str:
    """A fence's first line with the lines to highlight; one that names a program needs braces."""
    if numbers:
        option = f'hl_lines="{" ".join(map(str, numbers))}"'
        fence = f"{fence[:-1]} {option}}}" if fence.rstrip().endswith("}") else f"{fence} {option}"
    found = FENCE.match(fence)
    if found is None or not NAMED.search(fence):
        return fence
    info = re.sub(r"[{}]", " ", found["info"]).strip().removeprefix(".")
    return f"{found['indent']}{found['ticks']} {{ .{info} }}"


class Guide(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name is Markdown's
        md.registerExtension(self)
        md.preprocessors.register(Directives(md), "happened-directives", 33)
        # After pymdownx.snippets (32) and before pymdownx.superfences (25).
        md.preprocessors.register(Programs(md), "happened-programs", 28)


def on_startup(*, command: str, dirty: bool) -> None:
    if command == "serve":
        live.append(command)


def on_serve(server: LiveReloadServer, config: MkDocsConfig, builder: object) -> LiveReloadServer:
    """Serve at the root of the host, and not below the path where the guide is published."""
    server.mount_path = "/"
    server.url = str(config.site_url)
    return server


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    if live:
        config.site_url = (
            f"http://{config.dev_addr}/"  # the theme goes only where the sitemap leads
        )
    front_end = [MODULES / path for path in [*FONTS.values(), MERMAID]]
    lacking = [path for path in front_end if not path.exists()] + missing(MODULES)
    if lacking:
        raise Abort(f"{lacking[0]} is missing: run `make setup`")
    shown.clear()
    runs.clear()
    runs.update(runnable(ROOT / "docs_src"))
    played.clear()
    played.update(drawings_played(ROOT / "docs_src"))
    config.extra_css[:] = [path for path in config.extra_css if "_mkdocstrings" not in str(path)]
    config.markdown_extensions.append(Guide())  # type: ignore[arg-type]  # an instance is as good
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for name, path in FONTS.items():
        font = smaller(MODULES / path)
        files.append(File.generated(config, f"assets/fonts/{name}", content=font))
    esm = MODULES / MERMAID
    copies = 0
    for script in [esm / "mermaid.esm.min.mjs", *(esm / "chunks/mermaid.esm.min").glob("*.mjs")]:
        name = f"assets/mermaid/{script.relative_to(esm).as_posix()}"
        text, found = faster(script.read_text(encoding="utf-8"))
        copies += found
        files.append(File.generated(config, name, content=text))
    if copies != 1:
        raise PluginError(
            f"Mermaid's getConfig was found {copies} times, not once: "
            "look at its new release, and mend CONFIG in docs/hooks.py or drop it"
        )
    return files


def faster(script: str) -> tuple[str, int]:
    """Mermaid copies its whole configuration at each look: a third of the time of a drawing.

    The current configuration is only ever replaced, so one copy serves a turn of the event loop.
    """
    return CONFIG.subn(
        r"kept,keptOf,\g<name>=\g<helper>(()=>keptOf===\g<now>&&kept||"
        r"(setTimeout(()=>{kept=0}),keptOf=\g<now>,kept=\g<copy>),"
        r'"getConfig")',
        script,
    )


def smaller(font: Path) -> bytes:
    """The font with the letters that the guide uses, as woff2."""
    features = ["kern", "calt", "tnum"]
    options = subset.Options(flavor="woff2", layout_features=features, hinting=False)
    loaded = subset.load_font(str(font), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=LETTERS)
    subsetter.subset(loaded)
    out = io.BytesIO()
    subset.save_font(loaded, out, options)
    return out.getvalue()


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Number the chapters: every page of a part, from the front; the reference has none."""
    number = 0
    parts = [part for part in nav.items if isinstance(part, Section) and part.title != "Reference"]
    for part in parts:
        for page in part.children:
            if isinstance(page, Page):
                number += 1
                page.meta_chapter = number  # type: ignore[attr-defined]
                page.meta_part = part.title  # type: ignore[attr-defined]
    return nav


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    rendering[:] = [page]
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    rendering.clear()
    if not page.meta.get("description"):
        raise PluginError(f"{page.file.src_uri}: the front matter has no description")

    def frame(found: re.Match[str]) -> str:
        """Give a diagram a box with a name and the room that its drawing will take."""
        source = found["source"]  # the plugin's fence leaves it as written, so it is made safe here
        headings = HEADING.findall(html, 0, found.start())
        title = re.search(r"^\s*accTitle:\s*(.+)$", source, re.MULTILINE)
        below = unescape(re.sub(r"<[^>]+>", "", headings[-1])).strip() if headings else page.title
        name = title[1].strip() if title else f"Diagram: {below}"
        lines = source.count("\n") + 1
        width, height = SIZES.get(f"{page.url}#{next(places)}", [360, 44 * lines])
        program = played.get(source.strip())
        trace = f' data-trace="{program}"' if program else ""
        return (
            f'<div class="diagram" role="group" tabindex="0" aria-label="{escape(name)}"{trace}>'
            f'<div class="diagram__room" style="--width:{width};--height:{height}">'
            f'<pre class="mermaid"><code>{escape(source, quote=False)}</code></pre></div></div>'
        )

    places = itertools.count(1)
    numbers = itertools.count(1)

    def block(found: re.Match[str]) -> str:
        return code_block(found, next(numbers))

    # A table's empty corner is no heading.
    html = CODE.sub(block, DIAGRAM.sub(frame, html)).replace("<th></th>", "<td></td>")
    return options_in_prose(html)


def code_block(found: re.Match[str], number: int) -> str:
    """Give a block of code its copy button, and say how many lines it has.

    The theme would measure each block and add its button, and have the page laid out anew each
    time. The box around the code keeps it from that; knowing the number of lines, a browser lays
    a block out when it comes into view. Blocks with annotations are the theme's, which shows them.
    """
    text = unescape(re.sub("<[^>]+>", "", found["code"]))
    longest = max(map(len, text.splitlines()), default=0)
    reached = ' tabindex="0"' if longest > ON_A_PHONE else ""  # it can be scrolled with the keys
    button = (
        '<span class="md-code__nav"><button type="button" class="md-code__button" '
        f'title="Copy to clipboard" data-clipboard-target="#code-{number}" '
        'data-md-type="copy"></button></span>'
    )
    if ANNOTATION.search(text):
        code = f'<span></span><code id="code-{number}">{found["code"]}</code>'
        return f"{found['open']}<pre>{button}{code}"
    body = lines_kept(found["code"]) if "language-console" in found["open"] else found["code"]
    code = f'<code id="code-{number}"{reached}>{body}</code>'
    lines = found["code"].count("\n")
    return (
        f'{found["open"]}<pre class="lines" style="--lines:{lines}">{button}'
        f'<span class="lines__box">{code}</span>'
    )


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Name the Markdown copy in the head."""
    # With the space the theme does not take the copy for a translation, and ask it for a sitemap.
    here = '<link rel="alternate " type="text/markdown" href="index.md">'
    return output.replace("</head>", f"{here}</head>", 1)


def drawings_played(sources: Path) -> dict[str, str]:
    """The programs with the trace of a recorded run beside them, by the drawing of that run."""
    programs = [path.with_name(path.name.split(".")[0]) for path in sources.rglob("*.trace.json")]
    return {
        program.with_suffix(".mmd").read_text(encoding="utf-8").strip(): (
            program.relative_to(sources).as_posix()
        )
        for program in programs
    }


def copy_of(page: Page) -> str:
    """Return the address of a page's Markdown copy, from the site's root."""
    return page.file.dest_uri.removesuffix(".html") + ".md"


def as_copy(page: Page, config: MkDocsConfig) -> str:
    """A page as plain Markdown whose links lead to the other pages' copies."""

    def relink(found: re.Match[str]) -> str:
        folder = posixpath.dirname(page.file.src_uri)
        other = pages.get(posixpath.normpath(posixpath.join(folder, found["path"])))
        if other is None:
            return found[0]
        start = posixpath.dirname(copy_of(page)) or "."
        return f"{found['open']}{posixpath.relpath(copy_of(other), start)}{found['anchor'] or ''}"

    def refer(found: re.Match[str]) -> str:
        path = next((path for path in pages if found["name"] in api.names(shown[path])), None)
        if path is None:
            return found["text"]
        start = posixpath.dirname(copy_of(page)) or "."
        return f"[{found['text']}]({posixpath.relpath(copy_of(pages[path]), start)})"

    pages = config.extra["copies"]
    text = shown[page.file.src_uri]
    if api.names(text):
        plugin: Any = config.plugins["mkdocstrings"]
        text = api.described(text, plugin.get_handler("python"))
    lines = text.splitlines()
    position = 0
    while position < len(lines):
        end = end_of_fence(lines, position)
        if end == position:
            lines[position] = api.REFERENCE.sub(refer, LINK.sub(relink, lines[position]))
        position = end + 1
    return "\n".join(lines).strip() + "\n"


def on_env(env: Any, config: MkDocsConfig, files: Files) -> None:
    config.extra["copies"] = {file.src_uri: file.page for file in files.documentation_pages()}


def on_post_build(config: MkDocsConfig) -> None:
    site = Path(config.site_dir)
    pages: dict[str, Page] = config.extra["copies"]
    text = [f"# {config.site_name}", "", f"> {config.site_description}", "", "## Pages", ""]
    for page in in_reading_order(pages):
        copy = copy_of(page)
        (site / copy).write_text(as_copy(page, config), encoding="utf-8")
        text.append(f"- [{page.title}]({copy}): {page.meta['description']}")
    (site / "llms.txt").write_text("\n".join(text) + "\n", encoding="utf-8")
    search_on_demand(site, ROOT / "docs/scripts/search.js")
    write_programs(ROOT / "docs_src", site / "assets/programs")
    write_runtime(ROOT, site)
    one_stylesheet(site)
    loader = site / "scripts/mermaid.js"
    parts = json.dumps(in_order(MODULES / MERMAID / "mermaid.esm.min.mjs"))
    text = loader.read_text(encoding="utf-8").replace("parts = []", f"parts = {parts}")
    loader.write_text(text, encoding="utf-8")
    if not live:  # the server that reloads the pages puts a script into each
        write_policy(site)


def in_reading_order(pages: dict[str, Page]) -> list[Page]:
    """Return the pages as the navigation has them."""
    page = next((page for page in pages.values() if page.previous_page is None), None)
    found = []
    while page is not None:
        found.append(page)
        page = page.next_page
    return found


def in_order(entry: Path) -> list[str]:
    """The files that a module imports, each after those that it needs itself."""
    found: dict[Path, None] = {}

    def visit(module: Path) -> None:
        for name in IMPORT.findall(module.read_text(encoding="utf-8")):
            needed = (module.parent / name).resolve()
            if needed not in found:
                visit(needed)
                found[needed] = None

    visit(entry)
    return [path.relative_to(entry.parent.resolve()).as_posix() for path in found]


def one_stylesheet(site: Path) -> None:
    """Put the theme's rules that a page can need before ours, in one file."""
    html = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.html"))
    named = {name for value in re.findall(r'class="([^"]*)"', html) for name in value.split()}
    (bundle,) = site.glob("assets/javascripts/bundle.*.js")
    script = bundle.read_text(encoding="utf-8")
    (theme,) = site.glob("assets/stylesheets/main.*.css")
    text = re.sub(r"/\*.*?\*/", "", theme.read_text(encoding="utf-8"), flags=re.DOTALL)

    def wanted(selector: str) -> bool:
        names = re.findall(r"\.([a-zA-Z][\w-]*)", re.sub(r":(?:not|is)\([^()]*\)", "", selector))
        return all(name in named or name in script for name in names)

    ours = site / "stylesheets/happened.css"
    rules = ours.read_text(encoding="utf-8")
    for more in sorted({*ours.parent.glob("*.css")} - {ours}):
        rules += more.read_text(encoding="utf-8")
        more.unlink()
    style = without_unused(text, wanted) + re.sub(r"(?s)/\*.*?\*/|(?m:^\s+|\n)", "", rules)
    ours.write_text(re.sub(r"pre ?> ?code", "pre code", style), encoding="utf-8")


def without_unused(css: str, wanted: Callable[[str], bool]) -> str:
    """The rules of a minified stylesheet that have a wanted selector, each with its wanted ones."""
    rules, start = [], 0
    while (opening := css.find("{", start)) > 0:
        closing, depth = opening + 1, 1
        while depth:
            found = BRACE.search(css, closing)
            if found is None:
                raise PluginError("the theme's stylesheet has a brace that is not closed")
            depth += {"{": 1, "}": -1}.get(found[0], 0)
            closing = found.end()
        head = css[start:opening]
        start = closing
        if ";" in head:  # a rule without a block, such as @charset, stands before this one
            statement, _, head = head.rpartition(";")
            rules.append(f"{statement};")
        if head.startswith(("@media", "@supports", "@layer", "@container")):
            inner = without_unused(css[opening + 1 : closing - 1], wanted)
            rules += [f"{head}{{{inner}}}"] if inner else []
        elif head.startswith("@"):
            rules.append(f"{head}{css[opening:closing]}")
        else:
            selectors = [one for one in SELECTOR.findall(head) if wanted(one)]
            rules += [",".join(selectors) + css[opening:closing]] if selectors else []
    return "".join(rules)


def search_on_demand(site: Path, script: Path) -> None:
    """Let a page load the search's worker and its index when the reader searches, not before."""
    workers = list((site / "assets/javascripts/workers").glob("search.*.min.js"))
    index = site / "search/search_index.json"
    content = json.loads(index.read_text(encoding="utf-8"))
    (site / "search/index.json").write_text(json.dumps(content), encoding="utf-8")
    index.write_text(json.dumps({"config": content["config"], "docs": []}), encoding="utf-8")
    for worker in workers:
        worker.rename(worker.with_name("lunr.js"))
        worker.write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    (site / "scripts/search.js").unlink()
