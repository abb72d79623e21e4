"""Keras with its backend, imported without the backend's start-up log.

TensorFlow writes that log from C++ before any setting is read, on every start, in each report. Everything else
that is written meanwhile is passed on. Import Keras from here: `from fer_utils.networks.backend import keras`.
"""

import logging
import os
import re
import sys
import tempfile

_NOISE = re.compile(
    rb"oneDNN custom operations are on|^WARNING: All log messages before absl::InitializeLog"
)


def _import_quietly():
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            import keras
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            for line in log:
                if not _NOISE.search(line):
                    sys.stderr.write(line.decode(errors="replace"))
    return keras


keras = _import_quietly()

# TensorFlow's advice on retracing is for one model called in many ways; here each model is new.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
