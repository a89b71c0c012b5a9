"""Rule check_machine: refuse a stage that cannot end well, before its first photograph is decoded. By hand, in seconds:

python scripts/check_machine.py --plan results/stage1/plan.parquet --plan_summary results/stage1/plan.json \
    --preflight /tmp/stage1/preflight.json --threads 2 \
    --settings "$(python -c 'import json, yaml; print(json.dumps(yaml.safe_load(open("config.yaml"))))')"
"""

from pillsnap.job_log import job_log
from pillsnap.job_words import job_words

words = job_words(__doc__, paths=["plan", "plan_summary", "preflight"])
with job_log(words["log"]):
    from pillsnap.check_machine import check_machine
    from pillsnap.config import Config

    check_machine(
        plan=words["plan"],
        plan_summary=words["plan_summary"],
        preflight=words["preflight"],
        config=Config.model_validate_json(words["settings"]),
        jobs=words["threads"],
    )
