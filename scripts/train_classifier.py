"""Rule train_classifier: train the drug classifier with timm. By hand, in a minute on a CPU:

python scripts/train_classifier.py --crops results/stage1/crops --classes results/stage1/manifest/classes.json \
    --best /tmp/best.safetensors --history /tmp/history.csv --record /tmp/classifier.json --work /tmp/classifier \
    --settings '{"epochs": 1, "image_size": 64}'
"""

from pillsnap.job_log import job_log
from pillsnap.job_words import job_words

words = job_words(__doc__, paths=["crops", "classes", "best", "history", "record", "work"])
with job_log(words.pop("log")):
    from pillsnap.config import Classifier
    from pillsnap.train_classifier import train_classifier

    train_classifier(settings=Classifier.model_validate_json(words.pop("settings")), **words)
