"""Rule train_detector: train the pill detector with ultralytics. By hand, in a minute on a CPU:

python scripts/train_detector.py --dataset results/stage1/yolo --best /tmp/d/best.pt --weights /tmp/d/best.safetensors \
    --history /tmp/d/history.csv --events /tmp/d/events.json --resources /tmp/d/resources.json \
    --record /tmp/d/detector.json --work /tmp/d/work --settings '{"epochs": 1, "image_size": 128}'
"""

from pillsnap.job_log import job_log
from pillsnap.job_words import job_words

paths = ["dataset", "best", "weights", "history", "events", "resources", "record", "work"]
words = job_words(__doc__, paths=paths, sections=["settings", "steering", "training"])
with job_log(words.pop("log")):
    from pillsnap.config_training import Detector, Steering, Trainings
    from pillsnap.train_detector import train_detector

    sections = {"settings": Detector, "steering": Steering, "training": Trainings}
    train_detector(**words | {name: model.model_validate_json(words[name]) for name, model in sections.items()})
