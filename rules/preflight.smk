# Can this stage end well on this machine, with this data?
# Needs: the stage's plan; looks at disk, memory, GPU and raw archives.
# Makes: results/{stage}/preflight.json, without which no photograph is decoded.


rule check_machine:
    """Check disk, memory, GPU, raw data and plan; refuse a stage that cannot end well."""
    input:  # no code, and no setting that is compared: see pillsnap/workflow/untracked.py
        plan="<results>/{stage}/plan.parquet",
        plan_backgrounds="<results>/{stage}/plan.backgrounds.parquet",
        plan_summary="<results>/{stage}/plan.json",
    output:
        preflight="<results>/{stage}/preflight.json",
        record="<results>/{stage}/provenance/check_machine.json",
    log:
        "<logs>/{stage}/check_machine.log",
    benchmark:
        "<logs>/{stage}/check_machine.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: workflow.cores  # as many as decoding jobs at a time, which it reckons with
    params:
        script=UntrackedParam(workflow_file("scripts/check_machine.py")),
        config=UntrackedParam(CONFIG.model_dump_json(exclude={"manifest", "onnx", "benchmark"}, exclude_defaults=True)),
    shell:
        "python {params.script:q} --plan {input.plan:q} --plan_backgrounds {input.plan_backgrounds:q} "
        "--plan_summary {input.plan_summary:q} --preflight {output.preflight:q} --config {params.config:q} "
        "--jobs {threads} --record {output.record:q} --log {log:q}"
