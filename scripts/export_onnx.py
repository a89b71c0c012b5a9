"""Rule export_onnx: both models, and one graph of both, as ONNX, checked against PyTorch."""

from pillsnap.workflow.job import job

with job(snakemake):
    from pathlib import Path

    from pillsnap.config.config import Benchmark, Crops, Onnx
    from pillsnap.onnx.export_onnx import export_onnx

    lists = ("reader", "prepared", "code")
    export_onnx(
        **{name: Path(path) for name, path in snakemake.input.items() if name not in lists},
        reader=next(map(Path, snakemake.input.reader), None),
        prepared=[Path(path) for path in snakemake.input.prepared],
        onnx_folder=Path(snakemake.output.onnx_folder),
        work=Path(snakemake.params.work),
        stage=snakemake.wildcards.stage,
        settings=Onnx(**snakemake.params.settings),
        crop_settings=Crops(**snakemake.params.crop_settings),
        answer_settings=Benchmark(**snakemake.params.answer_settings),
        detector_image_size=snakemake.params.detector_image_size,
        device=snakemake.params.device,
        threads=snakemake.params.threads,
    )
