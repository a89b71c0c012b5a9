"""The pipeline's rules."""

RULES = (
    "make_synthetic_archive",
    "index_archive",
    "plan_stage",
    "check_machine",
    "prepare_archive",
    "build_manifest",
    "cut_pills",
    "compose_scenes",
    "write_dataset_page",
    "build_yolo_dataset",
    "train_detector",
    "detect_pills",
    "audit_labels",
    "cut_crops",
    "train_classifier",
    "calibrate_answers",
    "export_onnx",
    "run_benchmark",
    "measure_references",
    "evaluate_away",
    "write_model_card",
    "evaluate_detector",
)
"""Rules in the order of the pipeline, that of a detector alone at the end; the reports' own rules have no duration yet
while they run."""
