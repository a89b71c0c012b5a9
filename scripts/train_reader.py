"""Rule train_reader: train the reader on drawn crops."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.reader.settings import ReaderRecipe
    from pillsnap.reader.train_reader import train_reader

    train_reader(
        train=[Path(path) for path in snakemake.input.train],
        val=[Path(path) for path in snakemake.input.val],
        side=snakemake.params.side,
        weights=Path(snakemake.output.weights),
        history=Path(snakemake.output.history),
        work=Path("work/weights/train_reader"),
        settings=ReaderRecipe(**snakemake.params.settings),
        seed=snakemake.params.seed,
        device=snakemake.params.device,
        threads=snakemake.params.threads,
    )
