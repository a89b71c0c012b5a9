"""Rule plan_stage: choose a stage's photographs and split them."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Plan, Stage
    from pillsnap.manifest.plan_stage import plan_stage

    plan_stage(
        **{
            name: [Path(path) for path in snakemake.input[name]]
            for name in ("pills", "index_backgrounds", "index_issues")
        },
        plan=Path(snakemake.output.plan),
        backgrounds=Path(snakemake.output.backgrounds),
        issues=Path(snakemake.output.issues),
        summary=Path(snakemake.output.summary),
        refused=Path(snakemake.params.refused),
        stage=Stage(**snakemake.params.stage),
        settings=Plan(**snakemake.params.settings),
        seed=snakemake.params.seed,
        sources=snakemake.params.sources,
    )
