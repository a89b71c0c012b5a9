"""Rule prepare_archive: decode the planned photographs of one archive, once."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Prepare
    from pillsnap.detector.find_box import choose_box_finder
    from pillsnap.manifest.prepare_archive import prepare_archive
    from pillsnap.sources.archives import Archive

    archive = Archive(**snakemake.params.archive)
    prepare_archive(
        archive=archive,
        **{name: Path(snakemake.input[name]) for name in ("plan", "backgrounds", "counts")},
        prepared=Path(snakemake.output.prepared),
        settings=Prepare(**snakemake.params.settings),
        threads=snakemake.threads,
        box_finder=choose_box_finder(archive.boxes, snakemake.input.weights, snakemake.params.finder),
    )
