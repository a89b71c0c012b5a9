"""Rule draw_cut_outs: drawn pills without a ground."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.scenes.draw_cut_outs import draw_cut_outs

    draw_cut_outs(folder=Path(snakemake.output.cut_outs), **snakemake.params.settings, seed=snakemake.params.seed)
