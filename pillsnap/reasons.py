"""The one list of reasons why a photograph or a label is left out, or was repaired."""

QUARANTINED = {
    "photo_empty": "the photograph's file has 0 bytes",
    "photo_truncated": "decoding the photograph ends with an error",
    "photo_unreadable": "the photograph's bytes are no known picture format",
    "photo_too_large": "the photograph has more pixels than is safe to decode",
    "photo_missing": "the photograph was indexed, but the archive no longer has it",
    "photo_without_label": "no label file names the photograph",
    "photo_without_usable_label": "every label of the photograph is in the quarantine",
    "label_without_photo": "the label names a photograph that the archive does not have",
    "label_of_quarantined_photo": "the label is good, its photograph is in the quarantine",
    "label_unparsable": "the label file is no JSON object, or no YOLO label line",
    "label_field_missing": "a field that is needed is missing or of the wrong kind",
    "bbox_missing": "the label has no bounding box, or an empty one",
    "bbox_malformed": "the bounding box does not have four finite numbers",
    "bbox_zero_size": "the bounding box has no width or no height",
    "bbox_outside": "the bounding box leaves the photograph by more than 2 pixels",
    "bbox_whole_photo": "the bounding box covers more than 95 % of the photograph",
    "bbox_shared": "two drugs of one photograph have the same bounding box",
    "label_duplicated": "the same pill of the same photograph is labelled again",
    "class_without_training_pill": "no training pill of the drug is left after the quarantine",
}
"""Reasons of the quarantine and what they mean."""

SKIPPED = {
    "index_picture": "a composed overview picture (`_index.png`), not a photograph",
    "apple_double": "a side file that macOS puts into archives (`._*`)",
    "photo_duplicated": "the archive holds another photograph of that name, which is the one that is used",
    "over_budget": "not chosen: the stage's budget of photographs was used up",
    "class_not_in_stage": "shows a drug that is not among the stage's classes",
}
"""Reasons for which a photograph, and its labels, are not used although nothing is wrong with them."""

REPAIRED = {
    "label_cp949": "the label was in cp949 and was read as such",
    "size_corrected": "width and height in the label were not the photograph's; the photograph's are used",
    "bbox_clipped": "the bounding box left the photograph by at most 2 pixels and was clipped",
}
"""Repairs that are certain; the row is kept and the repair is noted."""

CORRUPT = ("photo_empty", "photo_truncated", "photo_unreadable", "photo_too_large")
"""Reasons that mean a corrupt picture (`manifest.remove_corrupt`)."""
