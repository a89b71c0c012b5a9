"""Rule evaluate_detector: what the detector finds in validation and in the test part."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.detector.evaluate_detector import evaluate_detector

    evaluate_detector(
        manifest={split: Path(snakemake.input[split]) for split in ("val", "test")},
        **{name: Path(snakemake.input[name]) for name in ("backgrounds", "summary", "detector")},
        prepared=[Path(path) for path in snakemake.input.prepared],
        evaluation=Path(snakemake.output.evaluation),
        work=Path(snakemake.params.work),
        image_size=snakemake.params.image_size,
        lowest_score=snakemake.params.lowest_score,
        nms_iou=snakemake.params.nms_iou,
        min_iou=snakemake.params.min_iou,
        device=snakemake.params.device,
        threads=snakemake.params.threads,
    )
