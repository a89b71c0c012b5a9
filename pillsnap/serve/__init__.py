"""The service `pillsnap serve`: predictions over HTTP, on ONNX Runtime alone."""
