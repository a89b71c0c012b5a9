"""Rule build_scene_dataset: shards of scenes as images and labels."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.pretraining.build_scene_dataset import build_scene_dataset

    build_scene_dataset(
        scenes={split: [Path(path) for path in snakemake.input[split]] for split in ("train", "val")},
        grounds=[Path(path) for path in snakemake.input.grounds],
        dataset=Path(snakemake.output.dataset),
    )
