"""Rule train_classifier: train the drug classifier with timm. By hand, in a minute on a CPU:

python scripts/train_classifier.py --crops results/stage1/crops --classes results/stage1/manifest/classes.json \
    --best /tmp/c/best.safetensors --history /tmp/c/history.csv --events /tmp/c/events.json \
    --resources /tmp/c/resources.json --record /tmp/c/record.json --work /tmp/c/work \
    --settings '{"epochs": 1, "image_size": 64}' --steering '{}' --training '{}' --seed 576 --device cpu --threads 2
"""

from pillsnap.workflow.command_line import logged_job

with logged_job(__doc__) as run_job:
    from pillsnap.classifier.train_classifier import train_classifier

    run_job(train_classifier, outputs=["best", "history", "events", "resources"], unrecorded=["work"])
