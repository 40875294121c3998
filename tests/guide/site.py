"""The guide as a built site: made once for all tests, looked into, and served."""

import fcntl
import os
import posixpath
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

LOADING = {
    ("script", "src"),
    ("img", "src"),
    ("source", "src"),
    ("iframe", "src"),
    ("video", "src"),
    ("object", "data"),
    ("use", "href"),
}
"""Attributes whose address a browser asks for by itself."""
LOADING_LINKS = {"stylesheet", "preload", "modulepreload", "icon", "prefetch", "manifest"}
VOID = {"area", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Page(HTMLParser):
    """What a page of HTML loads, links to and says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.links: list[str] = []
        self.meta: dict[str, str] = {}
        self.markdown: list[str] = []
        self.code: list[str] = []
        self.diagrams = 0
        self._inside: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note addresses, ids and descriptions."""
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self._inside.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "code" and "pre" in self._inside:
            self.code.append("")
        if tag == "pre" and "mermaid" in given.get("class", "").split():
            self.diagrams += 1
        if tag == "meta" and "name" in given:
            self.meta[given["name"]] = given.get("content", "")
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link":
            relations = set(given.get("rel", "").split())
            if relations & LOADING_LINKS:
                self.loads.append(given["href"])
            if given.get("type") == "text/markdown":
                self.markdown.append(given["href"])
        self.loads += [given[name] for name in given if (tag, name) in LOADING]

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        if tag in self._inside:
            while self._inside.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Collect the text of blocks of code."""
        if self.code and "pre" in self._inside:
            self.code[-1] += data


@dataclass
class Site:
    """A built site in a folder."""

    folder: Path

    @cached_property
    def pages(self) -> dict[str, Page]:
        """Every page by its address from the site's root."""
        return {
            path.relative_to(self.folder).as_posix().removesuffix("index.html"): Page(
                path.read_text(encoding="utf-8")
            )
            for path in sorted(self.folder.rglob("index.html"))
        }

    def target(self, page: str, address: str) -> str | None:
        """Return where a link on a page leads, from the site's root; None if to another site."""
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            return None
        path = posixpath.normpath(posixpath.join("/", page, unquote(parts.path)))
        folder = not parts.path or parts.path.endswith(("/", "..", "."))
        return path.lstrip("/") + ("/" if folder and path != "/" else "")


def build(root: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a project strictly, as ``make site`` does."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def built_once(root: Path, temporary: Path) -> Site:
    """Build the site in a folder that the workers of a run share; the first one does it."""
    shared = temporary.parent if "PYTEST_XDIST_WORKER" in os.environ else temporary
    folder = shared / "guide-site"
    done = shared / "guide-site.done"
    with (shared / "guide-site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            made = build(root, folder)
            done.write_text(f"{made.returncode}\n{made.stderr}", encoding="utf-8")
    status, _, said = done.read_text(encoding="utf-8").partition("\n")
    if status != "0":
        raise RuntimeError(f"the site was not built:\n{said}")
    return Site(folder)


@dataclass
class Served:
    """A site that is being served, and what was asked of it."""

    url: str
    refused: list[str] = field(default_factory=list)


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder under a base path, with a sitemap for that place."""

    protocol_version = "HTTP/1.1"
    base = "/"
    served: Served

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def translate_path(self, path: str) -> str:
        """Find the file below the base path; nothing lies beside it."""
        inner = path.removeprefix(self.base) if path.startswith(self.base) else "\0outside"
        return super().translate_path("/" + inner.replace("\0", "no-such-folder/"))

    def do_GET(self) -> None:
        """Answer, and note what is not there."""
        name = self.translate_path(self.path)
        if name.endswith("sitemap.xml"):
            # The theme navigates instantly only between addresses that the sitemap lists.
            text = Path(name).read_text(encoding="utf-8")
            home = text[text.index("<loc>") + 5 : text.index("</loc>")]
            body = text.replace(home, self.served.url).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        super().do_GET()

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Note an address that is not there."""
        self.served.refused.append(self.path)
        super().send_error(code, message, explain)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = (
        128  # of 5, a busy machine turns one away, and it waits up to half a minute
    )

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing when a browser goes on before it has read everything."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextmanager
def serve(site: Site, base: str = "/") -> Iterator[Served]:
    """Serve a site on a free port of this machine, below a base path."""
    served = Served("")
    handler = type("Handler", (_Handler,), {"base": base, "served": served})
    handler.extensions_map = {**_Handler.extensions_map, ".mjs": "text/javascript"}  # type: ignore[attr-defined]
    server = _Server(("127.0.0.1", 0), partial(handler, directory=str(site.folder)))
    served.url = urljoin(f"http://127.0.0.1:{server.server_port}", base)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
