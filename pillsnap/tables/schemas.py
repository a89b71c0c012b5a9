"""Schemas (pandera) of the tables between the rules, checked on write and on read."""

from typing import Any

import pandera.pandas as pa

from pillsnap.tables.quarantine_reasons import QUARANTINED, REPAIRED, SKIPPED


def _text(**options: Any) -> pa.Column:
    return pa.Column(str, coerce=True, **options)


def _integer(**options: Any) -> pa.Column:
    return pa.Column("int64", coerce=True, **options)


def _float(**options: Any) -> pa.Column:
    return pa.Column("float64", coerce=True, **options)


def _schema(*checks: pa.Check, **columns: pa.Column) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, checks=list(checks), strict=True, ordered=True, coerce=True)


PARTS = ("", "train", "val", "test")
"""A source's own part of a photograph: none, or a side of the split; later ones are held out further."""

_PILL = {
    "image_id": _text(),
    "archive": _text(),
    "member": _text(),
    "label_member": _text(),
    "domain": _text(checks=pa.Check.isin(["single", "combo"])),
    "part": _text(checks=pa.Check.isin(PARTS)),
    "group": _text(),
    "k_code": _text(),
    "edi_codes": _text(),
    "drug_name": _text(),
    "expected_pills": _integer(checks=pa.Check.ge(1)),
    "width": _integer(),
    "height": _integer(),
    "x": _float(),
    "y": _float(),
    "w": _float(checks=pa.Check.gt(0)),
    "h": _float(checks=pa.Check.gt(0)),
}
UNSEEN = ("unseen_val", "unseen_test")
"""Splits of unseen drugs: one to choose thresholds on, the other to measure on."""
_SPLIT = pa.Check.isin(["train", "val", "test"])
_ANY_SPLIT = pa.Check.isin(["train", "val", "test", *UNSEEN])
_SEEN_BEFORE_TEST = pa.Check.isin(["train", "val", "unseen_val"])
_NO_CLASS_UNSEEN = pa.Check(
    lambda table: (table["class_index"] == -1) | ~table["split"].isin(UNSEEN),
    name="class_index is -1 where the drug is unseen",
)
_ONLY_UNSEEN_WITHOUT_CLASS = pa.Check(
    lambda table: (table["class_index"] == -1) == table["split"].isin(UNSEEN),
    name="class_index is -1 where, and only where, the drug is unseen",
)

PILLS = _schema(**_PILL)
"""Index: one labelled pill a row, by photograph: boxes in pixels, width and height from the label (0 where missing)."""

PLAN = _schema(**_PILL, split=_text(checks=_ANY_SPLIT))
"""Plan: the pills of a stage's photographs, with their side of the split."""

_BACKGROUND = {
    "image_id": _text(unique=True),
    "archive": _text(),
    "member": _text(),
    "part": _text(checks=pa.Check.isin(PARTS)),
    "group": _text(),
}

BACKGROUNDS = _schema(**_BACKGROUND)
"""Index: photographs that are labelled as showing no pill."""

PLANNED_BACKGROUNDS = _schema(**_BACKGROUND, split=_text(checks=_SPLIT))
"""Plan: a stage's backgrounds, with their side of the split."""

ISSUES = _schema(
    archive=_text(),
    member=_text(),
    label_member=_text(),
    outcome=_text(checks=pa.Check.isin(["quarantined", "skipped", "repaired"])),
    reason=_text(checks=pa.Check.isin([*QUARANTINED, *SKIPPED, *REPAIRED])),
    detail=_text(),
)
"""Dropped and repaired files; a row without `label_member` is about the photograph itself."""

PHOTOS = _schema(
    image_id=_text(unique=True),
    sha256=_text(checks=pa.Check.str_length(64, 64)),
    phash=_text(checks=pa.Check.str_length(64, 64)),
    width=_integer(checks=pa.Check.ge(1)),
    height=_integer(checks=pa.Check.ge(1)),
    offset=_integer(),
    length=_integer(),
)
"""Prepared photographs: hash of the raw file, perceptual hash of the picture (256 bits in hexadecimal), native size,
place of the stored JPEG in `photos.bin`."""

CONTEXTS = _schema(
    image_id=_text(),
    label_member=_text(),
    x=_float(),
    y=_float(),
    w=_float(),
    h=_float(),
    left=_integer(),
    top=_integer(),
    offset=_integer(),
    length=_integer(),
)
"""Context crops at native resolution: the pill's box, the window's corner in the photograph, place in `crops.bin`."""

_LOOK = {
    "form": _text(),
    "shape": _text(),
    "colours": _text(),
    "imprint_front": _text(),
    "imprint_back": _text(),
}

LOOKS = _schema(k_code=_text(), **_LOOK, labels=_integer(checks=pa.Check.ge(1)))
"""Descriptions of drugs in an archive's labels: one a row, with the number of labels that hold it."""

DRUGS = _schema(
    class_index=_integer(checks=pa.Check.ge(0), unique=True),
    k_code=_text(unique=True),
    edi_codes=_text(),
    drug_name=_text(),
    **_LOOK,
    train_pills=_integer(checks=pa.Check.ge(1)),
    val_pills=_integer(checks=pa.Check.ge(0)),
    test_pills=_integer(checks=pa.Check.ge(0)),
)
"""Table of drugs: one class a row in class order, in the words of the source; empty where it has none. Colours are
separated by commas."""

MANIFEST = _schema(
    _NO_CLASS_UNSEEN,
    image_id=_text(),
    archive=_text(),
    member=_text(),
    label_member=_text(),
    domain=_text(),
    k_code=_text(),
    edi_codes=_text(),
    class_index=_integer(checks=pa.Check.ge(-1)),
    split=_text(checks=_ANY_SPLIT),
    group=_text(),
    width=_integer(),
    height=_integer(),
    x=_float(),
    y=_float(),
    w=_float(),
    h=_float(),
    sha256=_text(),
    drug_name=_text(),
    fully_labelled=pa.Column(bool, coerce=True),
)
"""Manifest: one labelled pill a row; `class_index` is -1 for unseen drugs, and beside other pills of a photograph for
drugs that cannot be trained: such a pill has its box alone."""

OVERLAPS = _schema(
    image_id=_text(),
    archive=_text(),
    member=_text(),
    split=_text(checks=_SPLIT),
    first_label=_text(),
    first_k_code=_text(),
    second_label=_text(),
    second_k_code=_text(),
    iou=_float(checks=pa.Check.in_range(0, 1)),
)
"""Pairs of labels of two drugs in one photograph whose boxes overlap, one a row, those that overlap most first."""

MANIFEST_BACKGROUNDS = _schema(
    image_id=_text(unique=True),
    archive=_text(),
    member=_text(),
    split=_text(checks=_SPLIT),
    group=_text(),
    width=_integer(checks=pa.Check.ge(1)),
    height=_integer(checks=pa.Check.ge(1)),
    sha256=_text(),
)
"""Manifest: photographs without a pill, which only the detector uses, one a row."""

NEAR_DUPLICATES = _schema(
    first=_text(),
    first_split=_text(checks=_SPLIT),
    second=_text(),
    second_split=_text(checks=_SPLIT),
    distance=_integer(checks=pa.Check.ge(0)),
)
"""Pairs of similar photographs on two sides of the split: image_ids, and the Hamming distance of their hashes."""

DETECTIONS = _schema(
    image_id=_text(),
    split=_text(checks=_SEEN_BEFORE_TEST),
    score=_float(checks=pa.Check.in_range(0, 1)),
    x=_float(),
    y=_float(),
    w=_float(checks=pa.Check.gt(0)),
    h=_float(checks=pa.Check.gt(0)),
)
"""Detections, one box a row, in pixels of the raw photograph; a photograph may have none."""

FINDINGS = _schema(
    image_id=_text(),
    archive=_text(),
    member=_text(),
    label_member=_text(),
    split=_text(checks=pa.Check.isin(["train", "val"])),
    domain=_text(),
    kind=_text(checks=pa.Check.isin(["detection_without_label", "label_without_detection"])),
    score=_float(nullable=True, checks=pa.Check.in_range(0, 1)),
    best_iou=_float(checks=pa.Check.in_range(0, 1)),
    x=_float(),
    y=_float(),
    w=_float(checks=pa.Check.gt(0)),
    h=_float(checks=pa.Check.gt(0)),
    k_code=_text(),
    fully_labelled=pa.Column(bool, coerce=True),
    suggested_k_codes=_text(),
    picture=_text(),
)
"""Findings of the label audit: disagreements of labels and detector, one box a row, most important first.

`score` is that of the detection, or of the one that overlaps the label most, empty where none does; `best_iou` that
with the nearest box of the other side; `label_member` and `k_code` are empty for a detection, `suggested_k_codes` are
separated by commas.
"""

CROPS = _schema(
    _ONLY_UNSEEN_WITHOUT_CLASS,
    pill_id=_text(),
    split=_text(checks=_SEEN_BEFORE_TEST),
    box_from=_text(checks=pa.Check.isin(["label", "detector"])),
    image_id=_text(),
    domain=_text(),
    k_code=_text(),
    class_index=_integer(checks=pa.Check.ge(-1)),
    iou=_float(checks=pa.Check.in_range(0, 1)),
    offset=_integer(),
    length=_integer(),
)
"""Crops for the classifier in the order of `<split>.bin`; a pill has one from its labelled box and, where the detector
found it, one from the detected box. Pills of composed scenes are of the domain `COMPOSED`; their `image_id` is the
scene's name."""

COMPOSED = "composed"

CUT_OUTS = _schema(
    image_id=_text(),
    label_member=_text(),
    k_code=_text(),
    class_index=_integer(checks=pa.Check.ge(0)),
    length=_float(checks=pa.Check.in_range(0, 1, include_min=False)),
    offset=_integer(),
    colour_bytes=_integer(checks=pa.Check.ge(1)),
    mask_bytes=_integer(checks=pa.Check.ge(1)),
)
"""Cut-out pills in the order of `pills.bin`: `length` is the pill's longer side as a share of its photograph's; at
`offset` lie `colour_bytes` of JPEG and behind them `mask_bytes` of PNG."""

READER_CROPS = _schema(
    imprint=_text(),
    places=_text(),
    shape=_text(),
    colours=_text(),
    offset=_integer(),
    length=_integer(),
)
"""Drawn crops for the reader in the order of `crops.bin`: the imprint of the side that is seen; the middle of each of
its characters, x and y as shares of the crop's side, separated by spaces; shape, and colours with commas between."""

REFUSED_CUT_OUTS = _schema(image_id=_text(), label_member=_text(), reason=_text())
"""Pills that could not be cut out, and why."""

SCENES = _schema(
    scene=_text(unique=True),
    ground=_text(),
    width=_integer(checks=pa.Check.ge(1)),
    height=_integer(checks=pa.Check.ge(1)),
    offset=_integer(),
    length=_integer(),
)
"""Composed scenes in the order of `scenes.bin`, each a JPEG."""

SCENE_PILLS = _schema(
    scene=_text(),
    k_code=_text(),
    class_index=_integer(checks=pa.Check.ge(0)),
    x=_float(checks=pa.Check.ge(0)),
    y=_float(checks=pa.Check.ge(0)),
    w=_float(checks=pa.Check.gt(0)),
    h=_float(checks=pa.Check.gt(0)),
    visible=_float(checks=pa.Check.in_range(0, 1)),
)
"""Pills of composed scenes: drug, box of the part that is seen, in pixels, and the share of the pill that it is."""
