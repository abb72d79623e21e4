"""A reproducible study of facial-expression recognition on FER-2013."""

import os

# Both must be set before TensorFlow is imported. It leaves oneDNN off on some AMD processors, which
# halves the speed of training. Its start-up log is of no use in a notebook.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# ONNX Runtime would send a description of this machine and a lasting identifier to its makers. It
# reads this variable when it is imported. "0" in the environment allows it.
if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Recognizer"]


def __getattr__(name: str):
    # Imported on demand: training needs no libraries of the server, and serving none of training.
    if name == "Recognizer":
        from fer_utils.recognition.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
