"""Description of a kind of source. The module of each kind has one as `KIND`, which `registry.py` finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pillsnap.sources.archives import Archive
from pillsnap.sources.labels import LabelReading
from pillsnap.sources.settings import Source


@dataclass(frozen=True)
class SourceKind:
    """A kind of source.

    Attributes:
        title: its name within a sentence.
        photographs: description of its photographs, for a line in a terminal.
        banner: two sentences at the head of a page; `{page}` stands for the page's name, such as `report`.
        terms: the second sentence where the page shows photographs of other sources too; empty: the banner's.
        card: paragraph of the model card about a model that was trained on it; Markdown.
        list_archives: its archives; raises `SourceError` where the data is not found.
        read_labels: reads the labels of one archive; no pixel is decoded.
        count_photos: number of photographs; `None` where only the index can count them.
        warns: whether the banner is a warning, in the colours of one.
        drawn: whether a rule of the pipeline draws the archives.
        k_coded: whether its labels name drugs by K-code, so that no table of class names (`source.classes`) is read.
        box_fractions: whether its labels give boxes as centre and size in fractions of the photograph.
        in_s3: whether its archives are read in place in S3.
    """

    title: str
    photographs: str
    banner: tuple[str, str]
    card: str
    list_archives: Callable[[Source], Iterable[Archive]]
    read_labels: Callable[[Archive], LabelReading]
    count_photos: Callable[[Source], int | None]
    terms: str = ""
    warns: bool = False
    drawn: bool = False
    k_coded: bool = False
    box_fractions: bool = False
    in_s3: bool = False
