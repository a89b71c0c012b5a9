"""Rule audit_labels: where detector and labels disagree."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.audit.audit_labels import audit_labels
    from pillsnap.config.data import Audit

    audit_labels(
        manifest={split: Path(snakemake.input[split]) for split in ("train", "val")},
        backgrounds=Path(snakemake.input.backgrounds),
        detections=Path(snakemake.input.detections),
        classes=Path(snakemake.input.classes),
        prepared=[Path(path) for path in snakemake.input.prepared],
        label_audit=Path(snakemake.output.label_audit),
        settings=Audit(**snakemake.params.settings),
        min_iou=snakemake.params.min_iou,
    )
