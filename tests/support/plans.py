"""Tables of labels, and the plans made of them, for tests."""

import pandas as pd

from pillsnap.config.data import Plan, Stage
from pillsnap.files import read_json
from pillsnap.manifest.plan_stage import plan_stage
from pillsnap.tables.files import make_table, read_table, write_table
from pillsnap.tables.schemas import BACKGROUNDS, ISSUES, PILLS, PLAN


def pill(image: str, k_code: str, *, domain: str = "single", part: str = "", group: str = "") -> dict:
    return {
        "image_id": image,
        "archive": "TS_1_single",
        "member": f"{image}.png",
        "label_member": f"{image}-{k_code}.json",
        "domain": domain,
        "part": part,
        "group": group or image,
        "k_code": k_code,
        "edi_codes": "",
        "drug_name": "",
        "expected_pills": 1,
        "width": 976,
        "height": 1280,
        "x": 1,
        "y": 1,
        "w": 9,
        "h": 9,
    }


def archive(drugs: int = 12, groups: int = 10, test: int = 4, combos: int = 20) -> pd.DataFrame:
    rows = []
    for drug in range(drugs):
        for group in range(groups):
            name = f"K-{drug:06d}_{group}"
            rows += [pill(f"{name}_{shot}", f"K-{drug:06d}", group=name) for shot in range(3)]
        rows += [
            pill(f"K-{drug:06d}_t{n}", f"K-{drug:06d}", part="test", group=f"K-{drug:06d}_t{n}") for n in range(test)
        ]
    for combo in range(combos):
        pair = [f"K-{combo % drugs:06d}", f"K-{(combo + 1) % drugs:06d}"]
        for shot in range(3):
            image = f"combo{combo}_{shot}"
            rows += [pill(image, k_code, domain="combo", group=f"combo{combo}") for k_code in pair]
    return make_table(rows, PILLS)


def planned(
    tmp_path,
    table: pd.DataFrame,
    *,
    images: int = 10**6,
    classes: int = 100,
    seed: int = 1,
    **changes: object,
):
    write_table(table, tmp_path / "pills.parquet", PILLS)
    paths = {name: tmp_path / f"plan.{name}" for name in ("plan", "backgrounds", "summary", "issues", "refused")}
    stage = Stage(images=images, classes=classes)
    settings = Plan.model_validate(SETTINGS.model_dump() | changes)
    write_table(make_table([], ISSUES), tmp_path / "issues.parquet", ISSUES)
    write_table(make_table([], BACKGROUNDS), tmp_path / "backgrounds.parquet", BACKGROUNDS)
    names = {"pills": "pills", "index_backgrounds": "backgrounds", "index_issues": "issues"}
    index = {kind: [tmp_path / f"{name}.parquet"] for kind, name in names.items()}
    plan_stage(**index, **paths, stage=stage, settings=settings, seed=seed)
    return read_table(paths["plan"], PLAN), read_json(paths["summary"])


SETTINGS = Plan(val_fraction=0.2, test_fraction=0.2, combo_fraction=0.3)
