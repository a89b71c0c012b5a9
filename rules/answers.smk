# What makes answers trustworthy.
# Needs: the classifier, the reader, the drugs' looks, the crops of training, validation and never-seen drugs.
# Makes: results/{stage}/answers/{calibration.json, drug_space.safetensors}.


rule calibrate_answers:
    """Choose temperature and thresholds on validation, so that answers keep what they promise."""
    input:
        classifier="<results>/{stage}/classifier/best.safetensors",
        reader=CONFIG.reader.starting_files,
        drugs="<results>/{stage}/manifest/drugs.csv",
        crops="<results>/{stage}/crops",
        code=code_of("calibrate_answers"),
    output:
        calibration="<results>/{stage}/answers/calibration.json",
        drug_space="<results>/{stage}/answers/drug_space.safetensors",
        record="<results>/{stage}/provenance/calibrate_answers.json",
    log:
        "<logs>/{stage}/calibrate_answers.log",
    benchmark:
        "<logs>/{stage}/calibrate_answers.tsv"
    conda:
        "../envs/pillsnap.yaml"
    threads: CONFIG.threads
    resources:
        gpu=1,
    params:
        settings=CONFIG.answers.model_dump(),
        device=CONFIG.device,
        threads=CONFIG.threads,
        portable=CONFIG.portable,
    script:
        "../scripts/calibrate_answers.py"
