"""Archives of the built-in source, with AIHub's names and folders."""

from dataclasses import dataclass
from pathlib import Path

TOP = "166.약품식별 인공지능 개발을 위한 경구약제 이미지 데이터/01.데이터"

_PARTS = {"training": ("1.Training", "T"), "validation": ("2.Validation", "V")}
_DOMAINS = {"single": ("단일경구약제 5000종", "단일"), "combo": ("경구약제조합 5000종", "조합")}


@dataclass(frozen=True)
class SyntheticArchive:
    """One pair of zips: `part` training or validation, `domain` single or combo, paths below the source's root."""

    part: str
    domain: str
    number: int
    photos: str
    labels: str

    @property
    def stem(self) -> str:
        """Name of the photo zip without its ending."""
        return Path(self.photos).stem


def list_synthetic_archives(*, single_archives: int, combo_archives: int) -> list[SyntheticArchive]:
    """List every archive of the source: the given numbers for training, one of each domain for validation."""
    counts = [("training", "single", single_archives), ("training", "combo", combo_archives)]
    counts += [("validation", "single", 1), ("validation", "combo", 1)]
    return [_archive(part, domain, number) for part, domain, count in counts for number in range(1, count + 1)]


def _archive(part: str, domain: str, number: int) -> SyntheticArchive:
    folder, letter = _PARTS[part]
    kind, word = _DOMAINS[domain]
    return SyntheticArchive(
        part=part,
        domain=domain,
        number=number,
        photos=f"{TOP}/{folder}/원천데이터/{kind}/{letter}S_{number}_{word}.zip",
        labels=f"{TOP}/{folder}/라벨링데이터/{kind}/{letter}L_{number}_{word}.zip",
    )
