"""The label audit: where the detector and the labels disagree, as a table, as COCO JSON and as pictures."""
