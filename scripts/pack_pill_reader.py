"""Rule pack_pill_reader: the trained reader as a small file, with its record."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.pretraining.pack_pill_reader import pack_pill_reader

    pack_pill_reader(
        weights=Path(snakemake.input.weights),
        history=Path(snakemake.input.history),
        packed=Path(snakemake.output.packed),
        description=Path(snakemake.output.description),
        settings=snakemake.params.settings,
    )
