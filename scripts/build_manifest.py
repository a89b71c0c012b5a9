"""Rule build_manifest: manifest, quarantine and class list of a stage."""

from pillsnap.job_log import job_log

with job_log(snakemake.log[0]):
    from pathlib import Path

    from pillsnap.build_manifest import build_manifest
    from pillsnap.config_data import Manifest

    build_manifest(
        plan=Path(snakemake.input.plan),
        plan_issues=Path(snakemake.input.plan_issues),
        plan_summary=Path(snakemake.input.plan_summary),
        counts=[Path(path) for path in snakemake.input.counts],
        issues=[Path(path) for path in snakemake.input.issues],
        prepared=[Path(path) for path in snakemake.input.prepared],
        manifest={split: Path(snakemake.output[split]) for split in ("train", "val", "test")},
        quarantine=Path(snakemake.output.quarantine),
        near_duplicates=Path(snakemake.output.near_duplicates),
        classes=Path(snakemake.output.classes),
        summary=Path(snakemake.output.summary),
        settings=Manifest(**snakemake.params.settings),
        shared_groups=snakemake.params.shared_groups,
    )
