"""PillSnap: from millions of pill photographs to a drug-identification model that can be made again.

`from pillsnap import PillSnap` gives the class that answers; it and ONNX Runtime are loaded when it is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pillsnap.identify import PillSnap

__all__ = ["PillSnap", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "PillSnap":
        from pillsnap.identify import PillSnap

        return PillSnap
    raise AttributeError(f"module 'pillsnap' has no attribute {name!r}")
