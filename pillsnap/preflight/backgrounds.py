"""Check that the folder of grounds gives some."""

from pillsnap.config.data import Scenes
from pillsnap.preflight.findings import Finding, finding
from pillsnap.scenes.backgrounds import BackgroundsError, check_headers, find_backgrounds


def check_backgrounds(scenes: Scenes) -> list[Finding]:
    """Refuse a folder without photographs, and one with a file whose header is no picture's; nothing where no scene is
    composed, or all grounds are drawn."""
    if not (scenes.photos and scenes.backgrounds):
        return []
    try:
        photos = find_backgrounds(scenes.backgrounds)
        check_headers(photos)
    except BackgroundsError as error:
        return [finding("scenes.backgrounds", error.found, refused=True, cure=error.cure)]
    return [finding("scenes.backgrounds", f"{len(photos):,} photographs in {scenes.backgrounds}")]
