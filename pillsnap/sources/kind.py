"""What every kind of source says of itself; each kind's module has one `KIND`, which `registry.py` finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pillsnap.sources.archives import Archive
from pillsnap.sources.labels import LabelReading
from pillsnap.sources.settings import Source


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        title: what it is called in a sentence.
        photographs: what its photographs are, for a line in a terminal.
        banner: two sentences at the head of a page; `{page}` stands for what the page is called, such as `report`.
        card: what the model card says of a model that was trained on it; Markdown.
        list_archives: its archives; raises `SourceError` where the data is not found.
        read_labels: reads the labels of one archive; no pixel is decoded.
        count_photos: photographs that the source has; `None` where only the index tells.
        drawn: whether a rule of the pipeline draws the archives.
        box_fractions: whether its labels give boxes as centre and size in fractions of the photograph.
    """

    title: str
    photographs: str
    banner: tuple[str, str]
    card: str
    list_archives: Callable[[Source], Iterable[Archive]]
    read_labels: Callable[[Archive], LabelReading]
    count_photos: Callable[[Source], int | None]
    drawn: bool = False
    box_fractions: bool = False
