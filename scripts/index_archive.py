"""Rule index_archive: read one archive's labels into tables."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.manifest.index_archive import index_archive
    from pillsnap.sources.archives import Archive

    index_archive(
        kind=snakemake.params.kind,
        archive=Archive(**snakemake.params.archive),
        **{name: Path(path) for name, path in snakemake.output.items() if name != "record"},
    )
