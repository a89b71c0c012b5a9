"""Rule pack_pill_detector: the trained detector as a small file, with its record."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.pretraining.pack_pill_detector import pack_pill_detector

    pack_pill_detector(
        weights=Path(snakemake.input.weights),
        start=next(map(Path, snakemake.input.start), None),
        history=Path(snakemake.input.history),
        packed=Path(snakemake.output.packed),
        description=Path(snakemake.output.description),
        work=Path(f"work/weights/{snakemake.wildcards.round}/pack_pill_detector"),
        image_size=snakemake.params.image_size,
        settings=snakemake.params.settings,
    )
