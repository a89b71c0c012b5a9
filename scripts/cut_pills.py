"""Rule cut_pills: pills without their ground, from one archive's training photographs."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.scenes.cut_pills import cut_pills

    cut_pills(
        train=Path(snakemake.input.train),
        prepared=Path(snakemake.input.prepared),
        cut_outs=Path(snakemake.output.cut_outs),
        per_drug=snakemake.params.per_drug,
        seed=snakemake.params.seed,
    )
