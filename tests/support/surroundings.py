"""Another surrounding for the same work: time zone, locale, hash seed, and the order in which folders are listed."""

import shutil
import subprocess
from pathlib import Path

from tests.support.debian import need

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
    """A folder with a locale in UTF-8, compiled from its sources."""
    sources = Path("/usr/share/i18n/locales", name)
    need(
        f"localedef and the sources of the locale {name}",
        lambda: shutil.which("localedef") if sources.is_file() else None,
        "locales",
    )
    subprocess.run(["localedef", "-i", name, "-f", "UTF-8", folder / f"{name}.UTF-8"], check=True, capture_output=True)
    return folder
