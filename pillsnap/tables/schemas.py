"""The tables between the rules: one pandera schema each, checked when written and when read."""

from typing import Any

import pandera.pandas as pa

from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED


def _text(**options: Any) -> pa.Column:
    return pa.Column(str, coerce=True, **options)


def _whole(**options: Any) -> pa.Column:
    return pa.Column("int64", coerce=True, **options)


def _number(**options: Any) -> pa.Column:
    return pa.Column("float64", coerce=True, **options)


def _schema(*checks: pa.Check, **columns: pa.Column) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, checks=list(checks), strict=True, ordered=True, coerce=True)


_PILL = {
    "image_id": _text(),
    "archive": _text(),
    "member": _text(),
    "label_member": _text(),
    "domain": _text(checks=pa.Check.isin(["single", "combo"])),
    "part": _text(checks=pa.Check.isin(["", "train", "val", "test"])),
    "group": _text(),
    "k_code": _text(),
    "edi_codes": _text(),
    "drug_name": _text(),
    "expected_pills": _whole(checks=pa.Check.ge(1)),
    "width": _whole(),
    "height": _whole(),
    "x": _number(),
    "y": _number(),
    "w": _number(checks=pa.Check.gt(0)),
    "h": _number(checks=pa.Check.gt(0)),
}
UNSEEN = ("unseen_val", "unseen_test")
"""Splits of drugs that the model never sees: one half to choose thresholds on, the other to measure on."""
_SPLIT = pa.Check.isin(["train", "val", "test"])
_ANY_SPLIT = pa.Check.isin(["train", "val", "test", *UNSEEN])
_SEEN_BEFORE_TEST = pa.Check.isin(["train", "val", "unseen_val"])
_NO_CLASS_UNSEEN = pa.Check(
    lambda table: (table["class_index"] == -1) == table["split"].isin(UNSEEN),
    name="class_index is -1 where, and only where, the drug is never seen",
)

PILLS = _schema(**_PILL)
"""One labelled pill a row, as `index_archive` found it, by photograph: boxes in pixels, width and height as the label
says (0 where it does not)."""

PLAN = _schema(**_PILL, split=_text(checks=_ANY_SPLIT))
"""The pills of the photographs that a stage uses, with their side of the split."""

ISSUES = _schema(
    archive=_text(),
    member=_text(),
    label_member=_text(),
    outcome=_text(checks=pa.Check.isin(["quarantined", "skipped", "repaired"])),
    reason=_text(checks=pa.Check.isin([*QUARANTINED, *SKIPPED, *REPAIRED])),
    detail=_text(),
)
"""What is not kept, or was repaired; a row without `label_member` is about the photograph itself."""

PHOTOS = _schema(
    image_id=_text(unique=True),
    sha256=_text(checks=pa.Check.str_length(64, 64)),
    phash=_text(checks=pa.Check.str_length(64, 64)),
    width=_whole(checks=pa.Check.ge(1)),
    height=_whole(checks=pa.Check.ge(1)),
    offset=_whole(),
    length=_whole(),
)
"""Prepared photographs: hash of the raw file, perceptual hash of the picture (256 bits in hexadecimal), native size,
place of the stored JPEG in `photos.bin`."""

CONTEXTS = _schema(
    image_id=_text(),
    label_member=_text(),
    x=_number(),
    y=_number(),
    w=_number(),
    h=_number(),
    left=_whole(),
    top=_whole(),
    offset=_whole(),
    length=_whole(),
)
"""Context crops at native resolution: the pill's box, the window's corner in the photograph, place in `crops.bin`."""

_LOOK = {
    "form": _text(),
    "shape": _text(),
    "colours": _text(),
    "imprint_front": _text(),
    "imprint_back": _text(),
}

LOOKS = _schema(k_code=_text(), **_LOOK, labels=_whole(checks=pa.Check.ge(1)))
"""How an archive's labels describe their drugs: one description a row, with the number of labels that say so."""

DRUGS = _schema(
    class_index=_whole(checks=pa.Check.ge(0), unique=True),
    k_code=_text(unique=True),
    edi_codes=_text(),
    drug_name=_text(),
    **_LOOK,
    train_pills=_whole(checks=pa.Check.ge(1)),
    val_pills=_whole(checks=pa.Check.ge(0)),
    test_pills=_whole(checks=pa.Check.ge(0)),
)
"""What people open to tell drugs apart: one class a row in class order, in the words of the source; empty where it
says nothing. Colours are separated by commas."""

MANIFEST = _schema(
    _NO_CLASS_UNSEEN,
    image_id=_text(),
    archive=_text(),
    member=_text(),
    label_member=_text(),
    domain=_text(),
    k_code=_text(),
    edi_codes=_text(),
    class_index=_whole(checks=pa.Check.ge(-1)),
    split=_text(checks=_ANY_SPLIT),
    group=_text(),
    width=_whole(),
    height=_whole(),
    x=_number(),
    y=_number(),
    w=_number(),
    h=_number(),
    sha256=_text(),
    drug_name=_text(),
    fully_labelled=pa.Column(bool, coerce=True),
)
"""What people open: one labelled pill a row; `class_index` is -1 for drugs that the model never sees."""

NEAR_DUPLICATES = _schema(
    first=_text(),
    first_split=_text(checks=_SPLIT),
    second=_text(),
    second_split=_text(checks=_SPLIT),
    distance=_whole(checks=pa.Check.ge(0)),
)
"""Photographs on two sides of the split that look alike: image_ids, and in how many bits their hashes differ."""
DETECTIONS = _schema(
    image_id=_text(),
    split=_text(checks=_SEEN_BEFORE_TEST),
    score=_number(checks=pa.Check.in_range(0, 1)),
    x=_number(),
    y=_number(),
    w=_number(checks=pa.Check.gt(0)),
    h=_number(checks=pa.Check.gt(0)),
)
"""What the detector found, one box a row, in pixels of the raw photograph; a photograph may have none."""

FINDINGS = _schema(
    image_id=_text(),
    archive=_text(),
    member=_text(),
    label_member=_text(),
    split=_text(checks=pa.Check.isin(["train", "val"])),
    domain=_text(),
    kind=_text(checks=pa.Check.isin(["detection_without_label", "label_without_detection"])),
    score=_number(nullable=True, checks=pa.Check.in_range(0, 1)),
    best_iou=_number(checks=pa.Check.in_range(0, 1)),
    x=_number(),
    y=_number(),
    w=_number(checks=pa.Check.gt(0)),
    h=_number(checks=pa.Check.gt(0)),
    k_code=_text(),
    fully_labelled=pa.Column(bool, coerce=True),
    suggested_k_codes=_text(),
    picture=_text(),
)
"""Where labels and detector disagree, one box a row, in the order in which a person should look.

`score` is that of the detection, or of the one that overlaps the label most, empty where none does; `best_iou` that
with the nearest box of the other side; `label_member` and `k_code` are empty for a detection, `suggested_k_codes` are
separated by commas.
"""

CROPS = _schema(
    _NO_CLASS_UNSEEN,
    pill_id=_text(),
    split=_text(checks=_SEEN_BEFORE_TEST),
    box_from=_text(checks=pa.Check.isin(["label", "detector"])),
    image_id=_text(),
    domain=_text(),
    k_code=_text(),
    class_index=_whole(checks=pa.Check.ge(-1)),
    iou=_number(checks=pa.Check.in_range(0, 1)),
    offset=_whole(),
    length=_whole(),
)
"""Crops for the classifier in the order in which they lie in `<split>.bin`; a pill has one from its labelled box and,
where the detector found it, one from the detected box."""
