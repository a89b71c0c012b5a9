"""Rule check_machine: refuse a stage that cannot end well, before its first photograph is decoded. By hand, in seconds:

python scripts/check_machine.py --plan results/stage1/plan.parquet \
    --plan_backgrounds results/stage1/plan.backgrounds.parquet --plan_summary results/stage1/plan.json \
    --preflight /tmp/stage1/preflight.json --record /tmp/stage1/record.json --jobs 2 \
    --config "$(python -c 'import json, yaml; print(json.dumps(yaml.safe_load(open("config.yaml"))))')"
"""

from pillsnap.workflow.command_line import logged_job

with logged_job(__doc__) as run_job:
    from pillsnap.preflight.check_machine import check_machine

    run_job(check_machine, outputs=["preflight"], unrecorded=["jobs"])
