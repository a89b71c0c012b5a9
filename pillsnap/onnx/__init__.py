"""Both models as ONNX, and one graph of both, checked against PyTorch."""
