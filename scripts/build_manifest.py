"""Rule build_manifest: manifest, quarantine and class list of a stage."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Manifest
    from pillsnap.manifest.build_manifest import build_manifest

    build_manifest(
        **{name: Path(snakemake.input[name]) for name in ("plan", "plan_backgrounds", "plan_issues", "plan_summary")},
        **{name: [Path(path) for path in snakemake.input[name]] for name in ("counts", "issues", "looks", "prepared")},
        manifest={split: Path(snakemake.output[split]) for split in ("train", "val", "test")},
        **{
            name: Path(path)
            for name, path in snakemake.output.items()
            if name not in ("train", "val", "test", "record")
        },
        refused=Path(snakemake.params.refused),
        settings=Manifest(**snakemake.params.settings),
        shared_groups=snakemake.params.shared_groups,
        source_of=snakemake.params.source_of,
    )
