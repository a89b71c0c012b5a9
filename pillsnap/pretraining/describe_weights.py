"""Say what weights that come with the project were made of."""

from pathlib import Path
from typing import Any

from pillsnap.files import sha256_of, write_json
from pillsnap.hardware import torch_device
from pillsnap.workflow.provenance import describe_device, git_commit, package_versions


def describe_weights(
    description: Path, packed: Path, *, trained_on: str, settings: dict[str, Any], **figures: Any
) -> None:
    """Write the JSON that lies beside packed weights.

    Args:
        description: written: SHA-256 and bytes of `packed`, what they were trained on, `figures`, settings, device,
            commit and versions.
        packed: the weights.
        trained_on: in words.
        settings: those that the training was made with.
        figures: the last or best epoch's, by the name of what they were measured on.
    """
    facts = {
        "sha256": sha256_of(packed),
        "bytes": packed.stat().st_size,
        "trained_on": trained_on,
        "made_by": "make weights",
        **figures,
        "settings": settings,
        "device": describe_device(torch_device(settings["device"])),
        "commit": git_commit(),
        "versions": package_versions(),
    }
    write_json(description, facts)
