"""Ways to run the network: ONNX Runtime, TensorFlow, LiteRT."""
