"""Everything acoustic: alphabet, features, network, bundle, training, evaluation."""

import os

# Read when ONNX Runtime is loaded: it would note what it runs in a database of its own, and
# send that to its makers.  The name has changed between its versions.
for _name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
    os.environ[_name] = "1"
