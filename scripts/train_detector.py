"""Rule train_detector: train the pill detector with ultralytics. By hand, in a minute on a CPU:

python scripts/train_detector.py --dataset results/stage1/yolo --best /tmp/best.pt --history /tmp/history.csv \
    --record /tmp/detector.json --work /tmp/detector --settings '{"epochs": 1, "image_size": 128}'
"""

from pillsnap.job_log import job_log
from pillsnap.job_words import job_words

words = job_words(__doc__, paths=["dataset", "best", "history", "record", "work"])
with job_log(words.pop("log")):
    from pillsnap.config import Detector
    from pillsnap.train_detector import train_detector

    train_detector(settings=Detector.model_validate_json(words.pop("settings")), **words)
