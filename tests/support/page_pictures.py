"""Takes docs/images/page.png and page-phone.png: a combo photograph, answered by real models.

python -m tests.support.page_pictures results/stage4/onnx PHOTO
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.support.chromium import Chromium, find_browser
from tests.support.pages import ask
from tests.support.services import running
from tests.support.workflow import PROJECT

IMAGES = PROJECT / "docs" / "images"
SIZES = {"page.png": {"width": 1280, "height": 880}, "page-phone.png": {"width": 390, "height": 844, "phone": True}}


def take_pictures(models: Path, photo: Path) -> None:
    """Ask the service about a combo photograph at desktop and at phone width, and keep what is to be seen."""
    profile = Path(tempfile.mkdtemp())
    with Chromium(find_browser(), profile) as browser, running(models) as (_, host, port):
        for name, size in SIZES.items():
            with browser.tab(**size) as tab:
                tab.open(f"http://{host}:{port}/")
                tab.wait("document.querySelector('main').dataset.view === 'empty'")
                ask(tab, photo, mode="combo")
                seen = Image.open(io.BytesIO(tab.picture())).convert("RGB")
                if size.get("phone"):
                    seen = seen.reduce(2)
                seen.quantize(192, kmeans=2, dither=Image.Dither.NONE).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    take_pictures(Path(sys.argv[1]), Path(sys.argv[2]))
