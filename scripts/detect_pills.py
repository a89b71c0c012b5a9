"""Rule detect_pills: what the detector sees in training and validation."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.detector.detect_pills import detect_pills

    detect_pills(
        manifest={split: Path(snakemake.input[split]) for split in ("train", "val", "unseen_val")},
        backgrounds=Path(snakemake.input.backgrounds),
        prepared=[Path(path) for path in snakemake.input.prepared],
        detector=Path(snakemake.input.detector),
        detections=Path(snakemake.output.detections),
        work=Path(snakemake.params.work),
        image_size=snakemake.params.image_size,
        lowest_score=snakemake.params.lowest_score,
        nms_iou=snakemake.params.nms_iou,
        device=snakemake.params.device,
        threads=snakemake.params.threads,
    )
