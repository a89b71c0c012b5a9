"""Built-in kind of source: photographs of invented drugs, drawn by rule `make_synthetic_archive` in AIHub's layout."""

from pillsnap.sources.aihub_labels import read_aihub_labels
from pillsnap.sources.archives import Archive, source_root
from pillsnap.sources.kind import SourceKind
from pillsnap.sources.settings import Source
from pillsnap.sources.synthetic.archives import list_synthetic_archives


def list_drawn_archives(source: Source) -> list[Archive]:
    """List the archives, drawn already or not."""
    settings, root = source.synthetic, source_root(source)
    return [
        Archive(
            name=f"{'T' if archive.part == 'training' else 'V'}S_{archive.number}_{archive.domain}",
            photos=(root / archive.photos).as_posix(),
            labels=(root / archive.labels).as_posix(),
            domain=archive.domain,
            part="" if archive.part == "training" else "test",
        )
        for archive in list_synthetic_archives(
            single_archives=settings.single_archives, combo_archives=settings.combo_archives
        )
    ]


def count_drawn_photos(source: Source) -> int:
    """Count the photographs of all archives, those of planted drugs and views included."""
    made = source.synthetic
    singles = made.drugs * (made.photos_per_drug + made.validation_photos_per_drug)
    planted = made.validation_photos_per_drug + min(made.defects, made.drugs) if made.defects else 0
    return singles + planted + 3 * (made.combos + made.validation_combos)


KIND = SourceKind(
    title="synthetic",
    photographs="synthetic photographs of invented drugs, drawn by PillSnap",
    banner=(
        "All photographs of this {page} are synthetic.",
        "PillSnap drew them itself; the drugs are invented. "
        "The figures show that the pipeline works and say nothing about real drugs.",
    ),
    card=(
        "**SYNTHETIC.** Every photograph that this model was trained and measured on was drawn by PillSnap, and every "
        "drug in it is invented. It can name no real drug, and its figures say nothing about real ones."
    ),
    list_archives=list_drawn_archives,
    read_labels=read_aihub_labels,
    count_photos=count_drawn_photos,
    terms="Their drugs are invented, and figures about them say nothing about real drugs.",
    warns=True,
    k_coded=True,
    drawn=True,
)
