"""Rule train_detector: train the pill detector with ultralytics. By hand, in a minute on a CPU:

python scripts/train_detector.py --dataset results/stage1/yolo --best /tmp/d/best.pt --weights /tmp/d/best.safetensors \
    --history /tmp/d/history.csv --events /tmp/d/events.json --resources /tmp/d/resources.json \
    --record /tmp/d/record.json --work /tmp/d/work --settings '{"epochs": 1, "image_size": 128}'
"""

from pillsnap.workflow.command_line import job_words, worded_job

inputs, outputs = ["dataset"], ["best", "weights", "history", "events", "resources"]
paths, sections = [*inputs, *outputs, "record", "work"], ["settings", "steering", "training"]
read, settings = [*inputs, "starts_from"], [*sections, "seed", "device", "threads"]
words = job_words(__doc__, paths=paths, files=["starts_from"], sections=sections)
with worded_job("train_detector", words, inputs=read, outputs=outputs, settings=settings) as given:
    from pillsnap.config.training import Detector, Steering, Trainings
    from pillsnap.detector.train_detector import train_detector

    given.pop("starts_from")  # named in the settings too
    models = {"settings": Detector, "steering": Steering, "training": Trainings}
    train_detector(**given | {name: model.model_validate_json(given[name]) for name, model in models.items()})
