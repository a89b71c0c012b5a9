"""Another surrounding for the same work: time zone, locale, hash seed, and the order in which folders are listed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REVERSED = '''"""Lists every folder from its end."""
import os

_listdir, _scandir = os.listdir, os.scandir


class _Scan:
    def __init__(self, *path):
        with _scandir(*path) as entries:
            self._entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def close(self):
        pass


os.listdir = lambda *path: sorted(_listdir(*path), reverse=True)
os.scandir = _Scan
'''


def other_surroundings(folder: Path) -> dict[str, str]:
    """Variables of an environment in Seoul: Korean locale, other hash seed, folders listed backwards."""
    (folder / "sitecustomize.py").write_text(REVERSED)
    korean = _locale("ko_KR", folder)
    return {
        "TZ": "Asia/Seoul",
        "LC_ALL": "ko_KR.UTF-8",
        "LANG": "ko_KR.UTF-8",
        "LOCPATH": str(korean),
        "PYTHONHASHSEED": "7",
        "PYTHONPATH": str(folder),
    }


def _locale(name: str, folder: Path) -> Path:
    """A folder with a locale in UTF-8; where its sources are absent the test is skipped, but under CI they are got."""
    if not Path("/usr/share/i18n/locales", name).is_file() or not shutil.which("localedef"):
        if os.environ.get("PILLSNAP_CI") != "1":
            pytest.skip(f"needs localedef and the sources of the locale {name} (Debian: locales)")
        for words in (["update"], ["install", "-y", "--no-install-recommends", "locales"]):
            subprocess.run(["apt-get", "-qq", *words], capture_output=True, check=False)
    subprocess.run(["localedef", "-i", name, "-f", "UTF-8", folder / f"{name}.UTF-8"], check=True, capture_output=True)
    return folder
