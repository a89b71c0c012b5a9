"""Rule cut_crops: crops of training and validation for the classifier."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.config import Crops
    from pillsnap.crops.cut_crops import cut_crops

    cut_crops(
        manifest={split: Path(snakemake.input[split]) for split in ("train", "val", "unseen_val")},
        prepared=[Path(path) for path in snakemake.input.prepared],
        detections=Path(snakemake.input.detections),
        crops=Path(snakemake.output.crops),
        settings=Crops(**snakemake.params.settings),
        min_score=snakemake.params.min_score,
        threads=snakemake.threads,
        scenes=[Path(path) for path in snakemake.input.scenes],
    )
