"""Page at `/`, with a Content-Security-Policy that allows only what the page itself contains."""

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).with_name("page.html")
_PART = re.compile(r"^/\* (page[a-z_]*\.(?:css|js)) \*/\n", re.MULTILINE)
_INLINE = re.compile(r"<(script|style)\b[^>]*>(.*?)</\1>", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """HTML and its Content-Security-Policy."""

    html: str
    policy: str


def read_page() -> Page:
    """Inline the page's CSS and JavaScript files, and compute its policy."""
    html = _PART.sub(lambda part: PAGE.with_name(part[1]).read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8"))
    return Page(html, policy_of(html))


def policy_of(html: str) -> str:
    """The Content-Security-Policy that allows exactly a page's inline scripts and styles, by their hashes."""
    hashes: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(html):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        hashes[kind.lower()].append(f"'sha256-{digest}'")
    rules = {
        "default-src": "'none'",
        "script-src": " ".join(hashes["script"]) or "'none'",
        "style-src": " ".join(hashes["style"]) or "'none'",
        "img-src": "blob: data:",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())
