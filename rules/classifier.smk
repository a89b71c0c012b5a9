# The classifier: which drug a crop shows.
# Needs: results/{stage}/crops, the class list.
# Makes: results/{stage}/classifier/{best.safetensors, history.csv, events.json, resources.json}; state in
# work/{stage}/train_classifier.


rule train_classifier:
    """Train the classifier; a killed training resumes from its last checkpoint."""
    input:
        crops="<results>/{stage}/crops",
        classes="<results>/{stage}/manifest/classes.json",
        starts_from=CONFIG.classifier.starting_files,
        script=workflow_file("scripts/train_classifier.py"),
        code=code_of("train_classifier"),
    output:
        best="<results>/{stage}/classifier/best.safetensors",
        history="<results>/{stage}/classifier/history.csv",
        events="<results>/{stage}/classifier/events.json",
        resources="<results>/{stage}/classifier/resources.json",
        record="<results>/{stage}/provenance/train_classifier.json",
    log:
        "<logs>/{stage}/train_classifier.log",
    benchmark:
        "<logs>/{stage}/train_classifier.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=CONFIG.training.processes,
    params:
        work=lambda wildcards: f"{CONFIG.pathvars.work}/{wildcards.stage}/train_classifier",
        launch=CONFIG.training.launcher,
        settings=CONFIG.recipe("classifier").model_dump_json(),
        steering=CONFIG.steering.model_dump_json(),
        training=CONFIG.training.model_dump_json(),
        seed=CONFIG.seed,
        device=CONFIG.device,
        threads=CONFIG.threads,
        portable=CONFIG.portable,
    shell:
        "{params.launch} {input.script:q} --crops {input.crops:q} --classes {input.classes:q} "
        "--best {output.best:q} --history {output.history:q} --events {output.events:q} "
        "--resources {output.resources:q} --work {params.work:q} --settings {params.settings:q} "
        "--steering {params.steering:q} --training {params.training:q} --seed {params.seed} --device {params.device} "
        "--threads {params.threads} --portable {params.portable} --record {output.record:q} --log {log:q}"
