"""Standard output for programs, in UTF-8 whatever the terminal's encoding is."""

import io
import json
import sys
from typing import Any, TextIO

KEPT_AS = "backslashreplace"
"""How letters that the encoding lacks are written: a path that is no UTF-8 ends no command."""


def utf8_output() -> TextIO:
    """Standard output, from now on in UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors=KEPT_AS)
    return sys.stdout


def print_json(value: Any) -> None:
    """Print indented JSON."""
    print(json.dumps(value, ensure_ascii=False, indent=2), file=utf8_output())
