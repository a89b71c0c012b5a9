"""PillSnap: from millions of pill photographs to a drug-identification model that can be made again.

The class `PillSnap`, and with it ONNX Runtime, is loaded on first use.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pillsnap.predict.model import PillSnap

__all__ = ["PillSnap", "__version__"]
__version__ = "0.1.0"

# before ONNX Runtime is imported: its wheels otherwise store events in the user's cache and send them to the vendor
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __getattr__(name: str) -> Any:
    if name == "PillSnap":
        from pillsnap.predict.model import PillSnap

        return PillSnap
    raise AttributeError(f"module 'pillsnap' has no attribute {name!r}")
