"""Keras and its backend, imported without the backend's start-up log.

TensorFlow writes the log from C++ at every start, before it reads any setting. All other output of
the import is passed on. Import Keras from here: `from fer_utils.networks.backend import keras`.
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
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            import keras
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            log.seek(0)
            for line in log:
                if not _NOISE.search(line):
                    sys.stderr.write(line.decode(errors="replace"))
    return keras


keras = _import_quietly()

# TensorFlow warns of functions that are traced often. Here each trace is of a new model.
logging.getLogger("tensorflow").setLevel(logging.ERROR)
