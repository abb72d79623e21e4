"""A reproducible study of facial-expression recognition on FER-2013."""

import os

# Both must be set before TensorFlow is imported, and only matter to it. On some AMD processors it leaves oneDNN
# off, which halves the speed of training; its start-up log says nothing a reader of a notebook can use.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# ONNX Runtime would send this machine's description and a lasting identifier to its makers. It reads
# this when it is imported; "0" in the environment turns it on again.
if not os.environ.get("ORT_DISABLE_TELEMETRY"):
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__all__ = ["Recognizer"]


def __getattr__(name: str):
    # Imported when asked for: what trains needs no server's libraries, and what serves no trainer's.
    if name == "Recognizer":
        from fer_utils.recognition.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
