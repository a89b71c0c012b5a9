"""The service's page for tests: with fixed answers in place of models, and looked at in Chromium."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import uvicorn

from pillsnap.answers.answer import (
    Answer,
    Candidate,
    EnrolledCandidate,
    Mode,
    ModelInfo,
    Pill,
    SamePillAnswer,
    Verdict,
    View,
)
from pillsnap.catalogue.search import Catalogue
from pillsnap.pictures.decode import encode_jpeg
from pillsnap.pictures.scaled_photo import ScaledPhoto
from pillsnap.serve.app import Measured, create_app
from pillsnap.serve.kept import Kept
from pillsnap.serve.limits import Limits
from pillsnap.serve.server import open_socket
from pillsnap.tables.classes import DrugClass
from tests.support.chromium import Chromium, Tab
from tests.support.models import draw_photo

WIDTH, HEIGHT = 480, 640
VIEW = "document.querySelector('main').dataset.view"
BOXES = (
    (40.0, 60.0, 150.0, 120.0),
    (280.0, 80.0, 120.0, 160.0),
    (60.0, 380.0, 140.0, 90.0),
    (290.0, 400.0, 160.0, 200.0),
)
DRUGS = (
    DrugClass(0, "K-000001", ("643303740",), "가나정 5mg"),
    DrugClass(1, "K-000002", ("653401200", "653401201"), "다라캡슐"),
    DrugClass(2, "K-000003", (), "마바정 100mg"),
    DrugClass(3, "K-000004", ("671700010",), "사아서방정 20mg"),
    DrugClass(4, "K-000005", ("642100990",), "자차연질캡슐"),
)
SHARES = {
    "known": (0.9984, 0.0008, 0.0004, 0.0003, 0.0001),
    "uncertain": (0.52, 0.31, 0.11, 0.04, 0.02),
    "unknown": (0.44, 0.27, 0.14, 0.1, 0.05),
}


def a_pill(box: tuple[float, float, float, float], verdict: Verdict, *, first: int = 0, possible: int = 3) -> Pill:
    """A pill with a verdict whose best drug is `DRUGS[first]`; `possible`: drugs in the set of an uncertain one."""
    drugs = DRUGS[first:] + DRUGS[:first]
    candidates = tuple(
        Candidate(drug.k_code, drug.edi_codes, drug.name, share)
        for drug, share in zip(drugs, SHARES[verdict], strict=True)
    )
    count = {"known": 1, "uncertain": possible, "unknown": 0}[verdict]
    return Pill(box, 0.9, verdict, candidates, candidates[:count])


@dataclass
class FixedSnap:
    """Answers any photograph as it is told to; remembers the pixels and the mode that it was asked about.

    Attributes:
        answer: what `identify` returns or raises.
        together: likewise, of two photographs of one pill.
        gate: closed (`clear()`), it holds answers back.
    """

    answer: Answer | Exception
    together: SamePillAnswer | Exception | None = None
    precision: float | None = 0.99
    pair_precision: float | None = 0.99
    asked: list[tuple[bytes, Mode]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    named = DRUGS
    facts = MappingProxyType({"crop_size": 144, "crop_margin": 0.15, "image_size": 224})

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(
            stage="stage4", commit="", licence="AGPL-3.0", drugs=len(DRUGS), opset=18, device="cpu", sha256="0" * 64,
            precision=self.precision, coverage=0.95, kept=0.95, pair_precision=self.pair_precision,
        )  # fmt: skip

    def identify(self, photo: ScaledPhoto | Sequence[ScaledPhoto], mode: Mode) -> Answer:
        photos = [photo] if isinstance(photo, ScaledPhoto) else photo
        self.asked.append((b"".join(one.picture.tobytes() for one in photos), mode))
        self.gate.wait(60)
        answer = self.answer if len(photos) == 1 else self.together
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def page_of(
    snap: Any,
    *,
    key: str | None = None,
    limits: Limits | None = None,
    kept: Kept | None = None,
    catalogue: Catalogue | None = None,
) -> Iterator[str]:
    """The address of a service on loopback that asks `snap`."""
    listener = open_socket("127.0.0.1", 0)
    measured = Measured(None, "a test")
    app = create_app(snap, limits=limits or Limits(), key=key, measured=measured, kept=kept, catalogue=catalogue)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(30)


def write_photo(
    path: Path, pills: int = 1, *, width: int = 480, height: int = 640
) -> list[tuple[float, float, float, float]]:
    """A synthetic JPEG of so many ellipses on grey, and their boxes x, y, w, h in pixels."""
    picture, boxes = draw_photo([place % 3 for place in range(pills)], seed=7, width=WIDTH, height=HEIGHT)
    path.write_bytes(encode_jpeg(picture, 90))
    return boxes


def enrolled(references: int) -> Answer:
    """An answer with one pill that is named after a drug enrolled from so many photographs."""
    pill = a_pill(BOXES[0], "uncertain", possible=1)
    drug = EnrolledCandidate("K-012345", ("645600001",), "카타정 5mg", None, references)
    return Answer(
        "single", WIDTH, HEIGHT, (replace(pill, candidates=(drug, *pill.candidates), prediction_set=(drug,)),)
    )


def single(verdict: Verdict, **how: Any) -> Answer:
    """An answer with one pill."""
    return Answer("single", WIDTH, HEIGHT, (a_pill(BOXES[0], verdict, **how),))


def both_sides(verdict: Verdict, *, calibrated: bool = True, agree: bool | None = None) -> SamePillAnswer:
    """One answer to two photographs, the second one of another size."""
    views = (View(WIDTH, HEIGHT, BOXES[0], 0.9), View(640, 480, BOXES[1], 0.8))
    return SamePillAnswer("single", WIDTH, HEIGHT, (a_pill(BOXES[0], verdict),), views, calibrated, agree)


def combo() -> Answer:
    """An answer with four pills: known, uncertain, unknown, known."""
    verdicts = ("known", "uncertain", "unknown", "known")
    pills = tuple(
        a_pill(box, verdict, first=place) for place, (box, verdict) in enumerate(zip(BOXES, verdicts, strict=True))
    )
    return Answer("combo", WIDTH, HEIGHT, pills)


@contextmanager
def opened(
    chromium: Chromium,
    snap: Any,
    *,
    key: str | None = None,
    limits: Limits | None = None,
    kept: Kept | None = None,
    catalogue: Catalogue | None = None,
    **how: Any,
) -> Iterator[Tab]:
    """The page of a service in a tab, ready for a photograph; at the end, that it asked only its own server and that
    nothing went against its policy or failed in its scripts."""
    served = page_of(snap, key=key, limits=limits, kept=kept, catalogue=catalogue)
    with served as address, chromium.tab(**how) as tab:
        tab.open(address)
        tab.wait(f"{VIEW} !== 'start'")
        yield tab
        assert [url for url in tab.requests if not url.startswith((address, f"blob:{address}", "data:"))] == []
        # a browser notes each refused request in the console; that is no failure of the page
        assert [line for line in tab.console if "the server responded with a status of" not in line] == []


def ask(tab: Tab, photo: Path, *, mode: str = "single", view: str = "result") -> None:
    """Choose mode and photograph and wait for what comes."""
    tab.run(f"document.querySelector('[value={mode}]').click()")
    tab.choose("#file", photo)
    tab.wait(f"{VIEW} === '{view}'")


def boxes_of(tab: Tab) -> list[list[float]]:
    """Where the boxes are, x, y, w, h in pixels of the photograph."""
    return tab.run(f"""(() => {{
        const frame = document.getElementById("photo").getBoundingClientRect();
        return [...document.querySelectorAll(".box")].filter(box => box.checkVisibility()).map(box => {{
            const {{ left, top, width, height }} = box.getBoundingClientRect();
            const scale = {WIDTH} / frame.width;
            return [left - frame.left, top - frame.top, width, height].map(value => value * scale);
        }});
    }})()""")


def texts(tab: Tab, selector: str) -> list[str]:
    """The words of what is visible of a CSS selector."""
    found = f"[...document.querySelectorAll({json.dumps(selector)})].filter(one => one.checkVisibility())"
    return tab.run(f"{found}.map(one => one.innerText)")
