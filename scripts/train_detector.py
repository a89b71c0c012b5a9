"""Rule train_detector: train the pill detector with ultralytics. By hand, in a minute on a CPU:

python scripts/train_detector.py --dataset results/stage1/yolo --best /tmp/d/best.pt --weights /tmp/d/best.safetensors \
    --history /tmp/d/history.csv --events /tmp/d/events.json --resources /tmp/d/resources.json \
    --record /tmp/d/record.json --work /tmp/d/work --settings '{"epochs": 1, "image_size": 128}' \
    --steering '{}' --training '{}' --seed 576 --device cpu --threads 2
"""

from pillsnap.workflow.command_line import logged_job

with logged_job(__doc__) as run_job:
    from pillsnap.detector.train_detector import train_detector

    run_job(train_detector, outputs=["best", "weights", "history", "events", "resources"], unrecorded=["work"])
