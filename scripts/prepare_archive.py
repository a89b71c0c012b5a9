"""Rule prepare_archive: decode the planned photographs of one archive, once."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Prepare
    from pillsnap.manifest.prepare_archive import prepare_archive
    from pillsnap.sources.archives import Archive

    prepare_archive(
        archive=Archive(**snakemake.params.archive),
        plan=Path(snakemake.input.plan),
        backgrounds=Path(snakemake.input.backgrounds),
        counts=Path(snakemake.input.counts),
        prepared=Path(snakemake.output.prepared),
        settings=Prepare(**snakemake.params.settings),
        threads=snakemake.threads,
    )
