"""An exported policy in ONNX Runtime (`pip install statewise[export]`), on one thread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from statewise.errors import CheckpointError
from statewise.monitor.card import CARD_KEY, card_from_json, require_seal


class OnnxRisk:
    """The risk of a policy in the file of `statewise export RUN --format onnx`, one observation at a time."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """CheckpointError where the file is missing, damaged or something else."""
        path = Path(path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # that the default of `noise` can be overridden is meant so
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            data = path.read_bytes()
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from error
        require_seal(data, path)
        self.session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self.card = card_from_json(self.session.get_modelmeta().custom_metadata_map.get(CARD_KEY), path)
        self._outputs = ["f", "outside"] + (["lam"] if self.card["network"]["multiplier"] else [])

    def rate(self, obs: NDArray[Any]) -> tuple[float | None, float, bool]:
        """λ(x), F̂(x), and whether an entry is outside of its range in training; obs: [obs].

        ValueError for NaN or infinity; of entries that are too large the answers may not be finite.
        """
        with np.errstate(over="ignore"):
            x = obs.astype(np.float32)[None]
        if not np.isfinite(x).all():
            raise ValueError("obs: holds NaN or infinity, as a float32")
        f, outside, *lam = (float(np.asarray(output)[0]) for output in self.session.run(self._outputs, {"obs": x}))
        return lam[0] if lam else None, f, bool(outside)
