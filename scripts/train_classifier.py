"""Rule train_classifier: train the drug classifier with timm. By hand, in a minute on a CPU:

python scripts/train_classifier.py --crops results/stage1/crops --classes results/stage1/manifest/classes.json \
    --best /tmp/c/best.safetensors --history /tmp/c/history.csv --events /tmp/c/events.json \
    --resources /tmp/c/resources.json --record /tmp/c/record.json --work /tmp/c/work \
    --settings '{"epochs": 1, "image_size": 64}'
"""

from pillsnap.workflow.command_line import job_words, worded_job

inputs, outputs = ["crops", "classes"], ["best", "history", "events", "resources"]
paths, sections = [*inputs, *outputs, "record", "work"], ["settings", "steering", "training"]
read, settings = [*inputs, "starts_from"], [*sections, "seed", "device", "threads"]
words = job_words(__doc__, paths=paths, files=["starts_from"], sections=sections)
with worded_job(
    "train_classifier", words, inputs=[*inputs, "starts_from"], outputs=outputs, settings=settings
) as given:
    from pillsnap.classifier.train_classifier import train_classifier
    from pillsnap.config.training import Classifier, Steering, Trainings

    given.pop("starts_from")  # named in the settings too
    models = {"settings": Classifier, "steering": Steering, "training": Trainings}
    train_classifier(**given | {name: model.model_validate_json(given[name]) for name, model in models.items()})
