"""A run as files that need neither this project nor PyTorch: ONNX, int8 ONNX, torch.export.

``folder`` says what such a folder holds and opens it without importing PyTorch; ``build`` writes
one and checks it against the run; ``graph`` is what is exported.
"""
