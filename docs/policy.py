"""The site's Content Security Policy: what a page may load and run, in a meta element.

A page runs the site's own scripts, and the inline ones that the build wrote, which are named by
their hashes; it asks no other host for anything. Styles may stand in the page, because the theme
and Mermaid put them there. WebAssembly is not allowed in a page: Python runs in a worker. A worker
has the policy of the response that brings it, and a site of plain files sends none; so the worker
gives up network and storage by itself before a program runs (`frontend/src/lock.ts`). Only such a
policy could keep a program from the `import()` of a script, which finds no more there than it did.

Source: W3C, "Content Security Policy Level 3".
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

INLINE = re.compile(r"<script(?P<attributes>[^>]*)>(?P<text>.*?)</script>", re.DOTALL)
NOT_RUN = re.compile(r"""\bsrc=|\btype=["']?application/json""")
CHARSET = re.compile(r"<meta charset=[^>]*>")


def policy(pages: Iterable[str]) -> str:
    """Return the policy that all of these pages obey.

    They share one: the theme shows a page's content in the page before it.
    """
    hashes = {
        base64.b64encode(hashlib.sha256(script["text"].encode()).digest()).decode()
        for html in pages
        for script in INLINE.finditer(html)
        if not NOT_RUN.search(script["attributes"])
    }
    scripts = " ".join(["script-src 'self'", *(f"'sha256-{one}'" for one in sorted(hashes))])
    return "; ".join(
        [
            "default-src 'none'",
            scripts,
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "worker-src 'self'",
            "manifest-src 'self'",
            "form-action 'none'",
            "base-uri 'none'",
        ]
    )


def write_policy(site: Path) -> None:
    """Write the policy into every page, before anything that it is about."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy(pages.values())}">'
    for path, html in pages.items():
        path.write_text(CHARSET.sub(lambda found: found[0] + meta, html, count=1), encoding="utf-8")
