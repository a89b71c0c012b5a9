"""Reasons why an archive, a photograph or a label is left out, or was repaired."""

QUARANTINED = {
    "archive_unreadable": "the archive cannot be opened: truncated, encrypted, or no zip",
    "archive_pair_unreadable": "the archive with its photograph, or with its label, cannot be opened",
    "name_unsafe": "its name leaves the archive, holds control characters or is too long",
    "link_outside": "a link that leads out of the archive, and not into DVC's cache, or no regular file",
    "encrypted": "the file is encrypted",
    "file_too_large": "the file is larger than 256 MiB (photograph) or 1 MiB (label)",
    "photo_empty": "the photograph's file has 0 bytes",
    "photo_truncated": "decoding the photograph ends with an error",
    "photo_unreadable": "the photograph's bytes are no known picture format",
    "photo_too_large": "the photograph has more pixels than is safe to decode",
    "photo_too_costly": "the photograph's file would keep its decoder busy far longer than its pixels do",
    "photo_missing": "the photograph was indexed, but the archive no longer has it",
    "photo_without_label": "no label file names the photograph, or it lies in no folder of a drug",
    "photo_without_usable_label": "every label of the photograph is in the quarantine",
    "photo_identical_other_drug": "another photograph has the same bytes and is labelled as another drug",
    "background_labelled": "a background with the same bytes as a photograph with labelled pills, which is used",
    "label_without_photo": "the label names a photograph that the archive does not have",
    "label_of_quarantined_photo": "the label is good, its photograph is in the quarantine",
    "label_unparsable": "the label file is no JSON object, or no YOLO label line",
    "class_out_of_range": "the class is no index of the data set's list of classes",
    "label_field_missing": "a field that is needed is missing or of the wrong kind",
    "label_of_several_pills": "the label holds several images or annotations, where one pill is expected",
    "label_names_other_photo": "the label's own name is one photograph's, the file name in it another's",
    "k_code_malformed": "the K-code is not K- and six digits",
    "k_code_not_in_name": "the label's K-code is not among those in the photograph's file name",
    "bbox_missing": "the label has no bounding box, or an empty one",
    "bbox_malformed": "the bounding box does not have four finite numbers, or its rotation is none",
    "bbox_zero_size": "the bounding box has no width or no height",
    "bbox_too_small": "the bounding box is less than 4 pixels wide or high",
    "bbox_outside": "the bounding box leaves the photograph by more than 2 pixels",
    "bbox_whole_photo": "the bounding box covers more than 95 % of the photograph",
    "pill_not_found": "no box is labelled, and the detector finds no pill of score 0.25 or more",
    "several_pills_found": "no box is labelled, and the detector finds more pills, with over half of the best score",
    "bbox_shared": "two drugs of one photograph have the same bounding box (IoU of 0.9 or more)",
    "bbox_ambiguous": "the photograph shows one pill by its name and has several different boxes",
    "label_duplicated": "the same pill of the same photograph is labelled again (IoU of 0.9 or more)",
    "class_only_in_test_part": "shows a drug that the source has in its test part only, so that it cannot be trained",
    "class_without_training_pill": "no training pill of the drug is left after the quarantine",
}
"""Reasons of the quarantine, with their meaning."""

SKIPPED = {
    "index_picture": "a composed overview picture (`_index.png`), not a photograph",
    "photo_of_test_images": "a photograph of the course's `test_images`, which have no labels: for `pillsnap predict`",
    "photo_not_listed": "the data set's listings, which tell what to use, do not name the photograph",
    "label_is_proposal": "a proposal of the label audit, of which nobody has said which drug it is",
    "apple_double": "a side file that macOS puts into archives (`._*`)",
    "name_repeated": "the archive holds the same name again; the first file of that name is used",
    "photo_duplicated": "the archive holds another photograph of that name, by letters of any case, which is used; or "
    "`pillsnap evaluate` has measured the same file of another archive, with the same labels",
    "photo_identical": "another photograph has the same bytes and the same drugs, and is the one that is used",
    "photo_in_later_source": "a source that is named later has the same photograph, and its labels are used",
    "group_held_out": "its capture group has photographs in a part that is held out further (test, then validation)",
    "group_on_other_side": "a background whose capture group has photographs with pills on another side of the split",
    "background_over_limit": "a background, of which each side takes at most as many as photographs with pills",
    "over_budget": "not chosen: the stage's budget of photographs was used up",
    "class_too_small": "shows a drug that does not reach 2 training pills and 1 validation pill",
    "class_not_in_stage": "shows a drug that is not among the stage's classes",
}
"""Reasons why a photograph with its labels is not used although nothing is wrong with it."""

REPAIRED = {
    "photo_listed_again": "the labels list the photograph as several images, and those of all were read",
    "label_cp949": "the label was in cp949 and was read as such",
    "label_cp1252": "the label was in Windows-1252 and was read as such",
    "label_utf16": "the label was in UTF-16 or UTF-32 and was read as such",
    "file_name_missing": "the label has no file name; its own name is the photograph's",
    "k_code_normalised": "blanks or small letters in the K-code were put right",
    "edi_code_dropped": "what stands among the EDI codes and is none was left out; no code was made up",
    "text_cleaned": "control characters in the drug's name were replaced by blanks, or it was cut after 300 characters",
    "iscrowd_ignored": "`iscrowd` was neither 0 nor 1; nothing depends on it",
    "bbox_from_polygon": "the label is a polygon or an oriented box; its extent is used",
    "keypoints_ignored": "the label has keypoints behind its box; nothing depends on them",
    "confidence_ignored": "the label has a confidence after its box; nothing depends on it",
    "box_scaled": "the photograph was resized by one factor after it was labelled, and so was the box",
    "box_turned": "the label's size is the stored picture's, which its EXIF orientation turns, and so was the box",
    "size_corrected": "the label's size is missing, or not the photograph's times one factor; the box is used as is",
    "bbox_clipped": "the bounding box left the photograph by at most 2 pixels and was clipped",
}
"""Repairs that are certain; the row is kept and the repair is noted."""

CORRUPT = ("photo_empty", "photo_truncated", "photo_unreadable", "photo_too_large", "photo_too_costly")
"""Reasons that mean a corrupt picture (`manifest.remove_corrupt`)."""
