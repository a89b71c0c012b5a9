"""Rule run_benchmark: accuracy, latency and resources on the test part."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.benchmark.run_benchmark import run_benchmark
    from pillsnap.config.config import Benchmark

    lists = ("prepared", "looks", "code")
    run_benchmark(
        **{name: Path(path) for name, path in snakemake.input.items() if name not in lists},
        **{name: Path(path) for name, path in snakemake.output.items() if name != "record"},
        **{name: [Path(path) for path in snakemake.input[name]] for name in ("prepared", "looks")},
        work=Path(snakemake.params.work),
        settings=Benchmark(**snakemake.params.settings),
        min_iou=snakemake.params.min_iou,
        device=snakemake.params.device,
        source_of=snakemake.params.source_of,
    )
