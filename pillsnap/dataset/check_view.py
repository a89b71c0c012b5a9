"""What `pillsnap data check` found in a folder, printed so that it explains itself, and the overlay to use."""

import shlex
from pathlib import Path

import yaml
from rich.console import Console

from pillsnap.config.data import Manifest
from pillsnap.dataset.check import Checked
from pillsnap.dataset.stage_data import PARTS
from pillsnap.dataset.terminal import plain_console, print_table
from pillsnap.manifest.left_out import by_reason
from pillsnap.pages.formats import backgrounds, count, plural
from pillsnap.sources.registry import get_kind
from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED
from pillsnap.tables.schemas import UNSEEN

OUTCOMES = {
    "quarantined": ("Quarantined: something is wrong with them, and they are left out", QUARANTINED),
    "skipped": ("Skipped: nothing is wrong with them, and they are not used", SKIPPED),
    "repaired": ("Repaired: they are used all the same", REPAIRED),
}
"""Title of the table of each outcome, and the meanings of its reasons."""


def print_check(folder: Path, checked: Checked, overlay: Path | None) -> None:
    """Print what `check_source` found, the overlay, and the command that uses it."""
    console = plain_console()
    console.print(f"{folder}: {get_kind(checked.kind).title}")
    rows = (
        (one.name, one.part or "not fixed", count(photos), count(labels)) for one, photos, labels in checked.archives
    )
    title = "What is there, by archive: a zip or folder of photographs with its labels"
    print_table(console, title, ["Archive", "Part", "#Photographs", "#Labels"], rows)
    console.print(f"{plural(checked.photos, 'photograph')} with usable labels, of {plural(len(checked.drugs), 'drug')}")
    if words := backgrounds(checked.backgrounds):
        console.print(words)
    _print_outcomes(console, checked)
    if checked.problem:
        return
    _print_division(console, checked)
    console.print(
        "Damaged photographs, identical ones and boxes outside their photograph are found when a run decodes them."
    )
    results, report = checked.overlay["pathvars"]["results"], "report.html"
    if checked.kind == "folders":
        console.print(
            "There are no boxes: the detector that comes with the project finds the pills, and photographs in which it "
            "finds none, or several, are left out. Where they are cropped to the pill already, add source.box: whole."
        )
    if len(checked.drugs) == 1:
        report = "detector_report.html"
        console.print("There is one class: a detector can be trained of it, and no classifier.")
    console.print(
        "\nThe overlay to use, a file of settings that is read after config.yaml"
        + (":\n" if overlay else "; --write FILE writes it:\n")
    )
    print(overlay_text(checked))
    print("The command that uses it, in the folder of the Snakefile:\n")
    file = shlex.quote(str(overlay or "overlay.yaml"))
    print(f"snakemake --cores 8 --configfile config.yaml {file} -- {shlex.quote(f'{results}/stage4/{report}')}")


def overlay_text(checked: Checked) -> str:
    """Return the overlay as YAML."""
    return yaml.safe_dump(checked.overlay, allow_unicode=True, sort_keys=False)


def _print_outcomes(console: Console, checked: Checked) -> None:
    """Print each reason with its meaning, and below it an example."""
    for outcome, (title, meanings) in OUTCOMES.items():
        issues = checked.issues[checked.issues["outcome"] == outcome]
        if issues.empty:
            continue
        rows: list[tuple[str, str, str]] = []
        for reason, number, example in by_reason(issues):
            rows += [(reason, count(number), meanings[reason]), ("", "", f"such as {example}")]
        print_table(console, title, ["Reason", "#Number", "Meaning"], rows)


def _print_division(console: Console, checked: Checked) -> None:
    sides = {words: checked.sides[side] for side, words in PARTS.items() if side in checked.sides}
    if unseen := sum(checked.sides.get(side, 0) for side in UNSEEN):
        drugs = checked.overlay["plan"]["unseen_drugs"]
        sides[f"Of {drugs} drugs that no training sees, to measure such answers"] = unseen
    print_table(
        console,
        "How a stage would divide the photographs",
        ["Part", "#Photographs"],
        ((side, count(number)) for side, number in sides.items()),
    )
    read = sum(photos for _, photos, _ in checked.archives)
    kept = sum(checked.sides.values()) + checked.planned_backgrounds
    photos = checked.issues[(checked.issues["label_member"] == "") & (checked.issues["member"] != "")]
    outcomes = photos["outcome"].value_counts()
    quarantined, skipped = (int(outcomes.get(name, 0)) for name in ("quarantined", "skipped"))
    skipped += sum(checked.skipped.values())
    console.print(
        f"Photographs: {count(read)} read = {count(kept)} kept + {count(quarantined)} quarantined + {count(skipped)} "
        "skipped"
    )
    for reason, number in checked.skipped.items():
        console.print(f"  {count(number)} {reason}: {SKIPPED[reason]}")
    limit = Manifest().max_quarantined_fraction
    if quarantined > limit * read:
        console.print(
            f"A run would stop: more than manifest.max_quarantined_fraction = {limit} is quarantined. Correct the "
            "data, or raise the limit."
        )
    if checked.dropped:
        console.print(f"Too few to be trained and validated: {', '.join(checked.dropped)}")
