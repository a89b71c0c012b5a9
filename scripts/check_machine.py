"""Rule check_machine: refuse a stage that cannot end well, before its first photograph is decoded. By hand, in seconds:

python scripts/check_machine.py --plan results/stage1/plan.parquet --plan_summary results/stage1/plan.json \
    --preflight /tmp/stage1/preflight.json --record /tmp/stage1/record.json --threads 2 \
    --settings "$(python -c 'import json, yaml; print(json.dumps(yaml.safe_load(open("config.yaml"))))')"
"""

from pillsnap.workflow.command_line import job_words, worded_job

inputs = ["plan", "plan_summary"]
words = job_words(__doc__, paths=[*inputs, "preflight", "record"])
with worded_job("check_machine", words, inputs=inputs, outputs=["preflight"], settings=["settings"]) as given:
    from pillsnap.config.config import Config
    from pillsnap.preflight.check_machine import check_machine

    check_machine(
        plan=given["plan"],
        plan_summary=given["plan_summary"],
        preflight=given["preflight"],
        config=Config.model_validate_json(given["settings"]),
        jobs=given["threads"],
    )
