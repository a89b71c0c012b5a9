"""Rule train_classifier: train the drug classifier with timm. By hand, in a minute on a CPU:

python scripts/train_classifier.py --crops results/stage1/crops --classes results/stage1/manifest/classes.json \
    --best /tmp/c/best.safetensors --history /tmp/c/history.csv --events /tmp/c/events.json \
    --resources /tmp/c/resources.json --record /tmp/c/classifier.json --work /tmp/c/work \
    --settings '{"epochs": 1, "image_size": 64}'
"""

from pillsnap.job_log import job_log
from pillsnap.job_words import job_words

paths = ["crops", "classes", "best", "history", "events", "resources", "record", "work"]
words = job_words(__doc__, paths=paths, sections=["settings", "steering", "training"])
with job_log(words.pop("log")):
    from pillsnap.config_training import Classifier, Steering, Trainings
    from pillsnap.train_classifier import train_classifier

    sections = {"settings": Classifier, "steering": Steering, "training": Trainings}
    train_classifier(**words | {name: model.model_validate_json(words[name]) for name, model in sections.items()})
