"""The service `pillsnap serve`: answers over HTTP, on ONNX Runtime alone."""
