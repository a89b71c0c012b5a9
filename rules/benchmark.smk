# Measure on the test part; no other rule uses it, the dataset page only shows it.
# Needs: the ONNX models, the test manifest, the never-seen drugs, the prepared archives; both trainings to compare with.
# Makes: results/{stage}/{benchmark/accuracy.json, latency.json, resources.json, examples/, metrics.json}.


rule run_benchmark:
    """Answer every test photograph with the exported models; measure accuracy, latency, resources."""
    input:
        models="<results>/{stage}/onnx",
        detector="<results>/{stage}/detector/best.pt",
        classifier="<results>/{stage}/classifier/best.safetensors",
        manifest="<results>/{stage}/manifest/test.csv",
        unseen="<results>/{stage}/manifest/unseen.csv",
        backgrounds="<results>/{stage}/manifest/backgrounds.csv",
        summary="<results>/{stage}/manifest/summary.json",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        code=code_of("run_benchmark"),
    output:
        accuracy="<results>/{stage}/benchmark/accuracy.json",
        latency="<results>/{stage}/benchmark/latency.json",
        resources="<results>/{stage}/benchmark/resources.json",
        examples=directory("<results>/{stage}/benchmark/examples"),
        metrics="<results>/{stage}/metrics.json",
        record="<results>/{stage}/provenance/run_benchmark.json",
    log:
        "<logs>/{stage}/run_benchmark.log",
    benchmark:
        "<logs>/{stage}/run_benchmark.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: workflow.cores  # nothing may run beside a timed answer
    resources:
        gpu=1,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/run_benchmark",
        settings=CONFIG.benchmark.model_dump(),
        min_iou=CONFIG.crops.min_iou,
        device=CONFIG.device,
        source_of=SOURCE_OF,
    script:
        "../scripts/run_benchmark.py"
