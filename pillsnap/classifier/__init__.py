"""The drug classifier: batches, transforms, timm model, training loop."""
