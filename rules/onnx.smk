# Both models as ONNX, and one graph from photograph to answer.
# Needs: both trainings, the reader, the calibration, validation photographs and crops.
# Makes: results/{stage}/onnx/{detector,classifier,pipeline}{.onnx,.fp16.onnx,.int8.onnx} and parity.json.


rule export_onnx:
    """Export, then compare ONNX Runtime with PyTorch; fail above the tolerance."""
    input:
        detector="<results>/{stage}/detector/best.safetensors",
        classifier="<results>/{stage}/classifier/best.safetensors",
        reader=CONFIG.reader.starting_files,
        classes="<results>/{stage}/manifest/classes.json",
        looks="<results>/{stage}/manifest/drugs.csv",
        calibration="<results>/{stage}/answers/calibration.json",
        drug_space="<results>/{stage}/answers/drug_space.safetensors",
        crops="<results>/{stage}/crops",
        manifest="<results>/{stage}/manifest/val.csv",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        code=code_of("export_onnx"),
    output:
        onnx_folder=directory("<results>/{stage}/onnx"),
        record="<results>/{stage}/provenance/export_onnx.json",
    log:
        "<logs>/{stage}/export_onnx.log",
    benchmark:
        "<logs>/{stage}/export_onnx.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/export_onnx",
        settings=CONFIG.onnx.model_dump(),
        crop_settings=CONFIG.crops.model_dump(),
        answer_settings=CONFIG.benchmark.model_dump(),
        device=CONFIG.device,
        threads=CONFIG.threads,
        portable=CONFIG.portable,
        detector_image_size=CONFIG.detector.image_size,
    script:
        "../scripts/export_onnx.py"
