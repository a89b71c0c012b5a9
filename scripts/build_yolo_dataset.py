"""Rule build_yolo_dataset: the detector's images and labels."""

from pillsnap.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.build_yolo_dataset import build_yolo_dataset
    from pillsnap.config_data import Yolo

    build_yolo_dataset(
        manifest={split: Path(snakemake.input[split]) for split in ("train", "val")},
        prepared=[Path(path) for path in snakemake.input.prepared],
        dataset=Path(snakemake.output.dataset),
        settings=Yolo(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
