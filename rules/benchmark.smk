# Measure on the test part; no other rule uses it, the dataset page only shows it.
# Needs: the ONNX models, the test manifest, the prepared archives.
# Makes: results/{stage}/{benchmark/accuracy.json, latency.json, resources.json, examples/, metrics.json}.


rule run_benchmark:
    """Answer every test photograph with the delivered models; accuracy, latency, resources."""
    input:
        models="<results>/{stage}/onnx",
        manifest="<results>/{stage}/manifest/test.csv",
        summary="<results>/{stage}/manifest/summary.json",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        code=code_of("run_benchmark"),
    output:
        accuracy="<results>/{stage}/benchmark/accuracy.json",
        latency="<results>/{stage}/benchmark/latency.json",
        resources="<results>/{stage}/benchmark/resources.json",
        examples=directory("<results>/{stage}/benchmark/examples"),
        metrics="<results>/{stage}/metrics.json",
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
        settings=CONFIG.benchmark.model_dump(),
        min_iou=CONFIG.crops.min_iou,
        device=CONFIG.device,
    script:
        "../scripts/run_benchmark.py"
