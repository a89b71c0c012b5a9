# The classifier: which drug a crop shows.
# Needs: results/{stage}/crops, the class list.
# Makes: results/{stage}/classifier/{best.safetensors, history.csv, classifier.json}; state in work/{stage}/train_classifier.


rule train_classifier:
    """Train the classifier; a killed training goes on after its last finished epoch."""
    input:
        crops="<results>/{stage}/crops",
        classes="<results>/{stage}/manifest/classes.json",
        code=code_of("train_classifier", "scripts/train_classifier.py"),
    output:
        best="<results>/{stage}/classifier/best.safetensors",
        history="<results>/{stage}/classifier/history.csv",
        record="<results>/{stage}/classifier/classifier.json",
    log:
        "<logs>/{stage}/train_classifier.log",
    benchmark:
        "<logs>/{stage}/train_classifier.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/train_classifier",
        settings=CONFIG.classifier.model_dump_json(),
        seed=CONFIG.seed,
        device=CONFIG.device,
        threads=CONFIG.threads,
    shell:
        "python scripts/train_classifier.py --crops {input.crops} --classes {input.classes} --best {output.best} "
        "--history {output.history} --record {output.record} --work {params.work} --settings {params.settings:q} "
        "--seed {params.seed} --device {params.device} --threads {params.threads} --log {log}"
