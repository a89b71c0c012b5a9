"""Rule compose_scenes: a shard of scenes for the detector."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.data import Scenes
    from pillsnap.scenes.compose_scenes import compose_scenes

    compose_scenes(
        cut_outs=[Path(path) for path in snakemake.input.cut_outs],
        prepared=[Path(path) for path in snakemake.input.prepared],
        scenes=Path(snakemake.output.scenes),
        shard=int(snakemake.wildcards.shard),
        side=snakemake.params.side,
        settings=Scenes(**snakemake.params.settings),
        seed=snakemake.params.seed,
    )
