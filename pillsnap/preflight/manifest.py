"""Check that the manifest of an earlier run is complete and consistent."""

from pathlib import Path

import pandas as pd

from pillsnap.files import read_json
from pillsnap.preflight.findings import Finding, finding
from pillsnap.tables.classes import read_classes
from pillsnap.tables.files import read_texts

SPLITS = ("train", "val", "test")


def check_manifest(folder: Path) -> Finding:
    """Check the folder of `build_manifest`. A broken one is a warning, since the run may be about to replace it."""
    if not folder.is_dir():
        return finding("manifest", "not made yet")
    names = [*(f"{split}.csv" for split in SPLITS), "unseen.csv", "quarantine.csv", "classes.json", "summary.json"]
    missing = [name for name in names if not (folder / name).is_file()]
    problems = [f"no {', '.join(missing)}"] if missing else _problems(folder)
    text = "; ".join(problems) or "complete, its account balances, and the class list fits"
    return finding("manifest", text, warning=bool(problems), cure="Make it again: -R build_manifest")


def _problems(folder: Path) -> list[str]:
    try:
        summary = read_json(folder / "summary.json")
        listed = {drug.k_code: drug.index for drug in read_classes(folder / "classes.json")}
        columns = ["image_id", "k_code", "class_index"]
        tables = {split: read_texts(folder / f"{split}.csv", columns) for split in SPLITS}
        problems = [
            f"the account of {kind} does not balance" for kind in ("photos", "labels") if not _balances(summary[kind])
        ]
        for split, table in tables.items():
            if len(table) != summary["splits"][split]["pills"]:
                problems.append(f"{split}.csv has {len(table)} rows, {summary['splits'][split]['pills']} were written")
        unseen = read_texts(folder / "unseen.csv", ["k_code"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return [f"cannot be read ({type(error).__name__}: {error})"]
    pills = pd.concat(tables.values())
    named = pills[pills["class_index"] != "-1"]
    agree = named["k_code"].map(listed) == named["class_index"].astype(int)
    if not agree.all() or set(named["k_code"]) != set(listed):
        problems.append("classes.json differs from the tables")
    if set(unseen["k_code"]) & set(listed):
        problems.append("unseen.csv has drugs of classes.json")
    return problems


def _balances(account: dict) -> bool:
    left_out = sum(sum(account[outcome].values()) for outcome in ("quarantined", "skipped"))
    return account["read"] == account["kept"] + left_out
