"""Rule make_synthetic_archive: draw one archive of synthetic photographs."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.sources.synthetic.archives import SyntheticArchive
    from pillsnap.sources.synthetic.make_synthetic_archive import make_synthetic_archive

    wildcards = snakemake.wildcards
    make_synthetic_archive(
        archive=SyntheticArchive(
            part="training" if wildcards.letter == "T" else "validation",
            domain="single" if wildcards.domain == "단일" else "combo",
            number=int(wildcards.number),
            photos=snakemake.output.photos,
            labels=snakemake.output.labels,
        ),
        photos_zip=Path(snakemake.output.photos),
        labels_zip=Path(snakemake.output.labels),
        planted_csv=Path(snakemake.output.planted),
        seed=snakemake.params.seed,
        **snakemake.params.settings,
    )
