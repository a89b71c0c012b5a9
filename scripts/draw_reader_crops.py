"""Rule draw_reader_crops: a shard of drawn crops for the reader."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.pretraining.draw_reader_crops import draw_reader_crops
    from pillsnap.pretraining.settings import ReaderCrops

    draw_reader_crops(
        folder=Path(snakemake.output.crops),
        split=snakemake.wildcards.split,
        shard=int(snakemake.wildcards.shard),
        photos=snakemake.params.photos,
        settings=ReaderCrops(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
