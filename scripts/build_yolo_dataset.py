"""Rule build_yolo_dataset: shards of the detector's images and labels."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Yolo
    from pillsnap.detector.build_yolo_dataset import build_yolo_dataset

    build_yolo_dataset(
        manifest={split: Path(snakemake.input[split]) for split in ("train", "val")},
        backgrounds=Path(snakemake.input.backgrounds),
        prepared=[Path(path) for path in snakemake.input.prepared],
        scenes=[Path(path) for path in snakemake.input.scenes],
        dataset=Path(snakemake.output.dataset),
        settings=Yolo(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
