# Measure on the test part, which no training sees, and away from the studio.
# Needs: the ONNX models, the test manifest, the never-seen drugs, the prepared archives; both trainings to compare with;
# sets of real photographs, where away.real_data names their folder.
# Makes: results/{stage}/benchmark/{accuracy.json, latency.json, resources.json, references.json, examples/};
# results/{stage}/{metrics.json, away/}.


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
        looks=expand("<results>/index/{archive}.looks.parquet", archive=ARCHIVES),
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


rule measure_references:
    """Enrol held-out drugs from some of their photographs, and answer the others and the test part."""
    input:
        models="<results>/{stage}/onnx",
        manifest="<results>/{stage}/manifest/test.csv",
        unseen="<results>/{stage}/manifest/unseen.csv",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        code=code_of("measure_references"),
    output:
        references="<results>/{stage}/benchmark/references.json",
        record="<results>/{stage}/provenance/measure_references.json",
    log:
        "<logs>/{stage}/measure_references.log",
    benchmark:
        "<logs>/{stage}/measure_references.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        min_iou=CONFIG.crops.min_iou,
        seed=CONFIG.seed,
        device=CONFIG.device,
        threads=CONFIG.threads,
    script:
        "../scripts/measure_references.py"


rule evaluate_away:
    """Answer scenes composed from pills of the test part, and sets of real photographs."""
    input:
        models="<results>/{stage}/onnx",
        test="<results>/{stage}/manifest/test.csv",
        prepared=expand("<results>/{{stage}}/prepared/{archive}", archive=ARCHIVES),
        photos=CONFIG.away_sets,
        code=code_of("evaluate_away", *(source_modules(*found_kinds()) if CONFIG.away_sets else [])),
    output:
        away=directory("<results>/{stage}/away"),
        record="<results>/{stage}/provenance/evaluate_away.json",
    log:
        "<logs>/{stage}/evaluate_away.log",
    benchmark:
        "<logs>/{stage}/evaluate_away.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        scenes=CONFIG.away.scenes,
        side=CONFIG.prepare.photo_size,
        context=CONFIG.prepare.crop_context,
        settings=CONFIG.scenes.model_dump(include={"max_pills", "max_covered"}),
        seed=CONFIG.seed,
        device=CONFIG.device,
        threads=CONFIG.threads,
    script:
        "../scripts/evaluate_away.py"
