"""Install requirements.lock, then this project, into the environment whose Python runs this.

uv takes half a minute for what takes pip three; both check every hash, and neither compiles to byte code. pip installs
uv itself, at the lock's version. Where uv fails, an index of the user's that it does not reach for instance, pip takes
over.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
LOCK = PROJECT / "requirements.lock"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
UV = (sys.executable, "-m", "uv")
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""pip's settings by uv's variable of the same meaning."""


def main() -> None:
    """Install with uv, or else with pip; ends with pip's exit status where that fails too."""
    os.chdir(PROJECT)
    try:
        install_uv()
        quiet = () if sys.stderr.isatty() else ("--quiet",)
        install((*UV, "pip", "install", *quiet, "--python", sys.executable), uv_environment())
    except subprocess.CalledProcessError:
        print("uv did not install the lock; pip does it now, which takes minutes.", file=sys.stderr, flush=True)
        try:
            install((*PIP, "install", "--no-compile"), dict(os.environ))
        except subprocess.CalledProcessError as error:
            sys.exit(error.returncode)


def install_uv() -> None:
    """Install the lock's uv with its hashes."""
    (pin,) = re.findall(r"^uv==(?:.*\\\n)+.*\n", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "uv.txt").write_text(pin, encoding="utf-8")
        words = ("install", "--no-compile", "--no-deps", "--require-hashes", "--requirement", f"{folder}/uv.txt")
        subprocess.run((*PIP, *words), check=True)


def install(command: tuple[str, ...], environment: dict[str, str]) -> None:
    """Install what is locked, and this project as it lies here."""
    for words in (
        ("--require-hashes", "--requirement", str(LOCK)),
        ("--no-build-isolation", "--editable", str(PROJECT)),
    ):
        subprocess.run((*command, "--no-deps", *words), env=environment, check=True)


def uv_environment() -> dict[str, str]:
    """The environment for uv: where pip is told to find packages, unless uv is told otherwise."""
    listed = subprocess.run((*PIP, "config", "list"), check=True, capture_output=True, text=True).stdout
    lines = [line.partition("=") for line in listed.splitlines()]
    settings = {key: ast.literal_eval(value) for key, _, value in lines}
    found = {"UV_INDEX_STRATEGY": "unsafe-best-match"}  # any index may have a file: its hash says whether it is right
    for name, variable in UV_NAMES.items():
        for section in ("global", "install", ":env:"):  # pip's order, the last wins
            if value := settings.get(f"{section}.{name}"):
                found[variable] = ("," if name == "find-links" else " ").join(value.split())
    return found | os.environ


if __name__ == "__main__":
    main()
