"""The model that answers: photograph in, drugs out, by ONNX Runtime alone."""
