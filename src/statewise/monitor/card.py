"""What an exported policy says of itself: the card in its file, and the sentences in it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from statewise.errors import CheckpointError

FORMAT = "statewise exported policy 1"
CARD_KEY, SEAL_KEY = "statewise", "statewise-seal"
"""Of an ONNX file's metadata: the card as JSON, and the digest of the file with `SEAL` in its own place."""
SEAL = "sha256:" + "0" * 64

FEASIBILITY = {
    "cvf": "the discounted sum of the costs to come under the policy",
    "cdf": "the discount to the power of the steps until the next cost under the policy, 1 at a cost",
    "hjr": "the largest discounted value of the constraint function to come under the policy",
    "state": "the discounted sum of the costs to come under the policy, from a critic of states",
}

LIMITS = (
    "F and lambda are estimates by neural networks of what training met; they prove nothing about safety.",
    "They hold for this policy on this task; another controller, another plant or other sensors need new ones.",
    "Outside of the range of training's observations they are extrapolations.",
    "F averages over fixed samples of the policy's actions, not over all of them.",
)


def require_card(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """`content` as the card of an exported policy; CheckpointError where it isn't one of this version."""
    if content.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: isn't an exported policy of this version; statewise export RUN makes one from a run or a policy"
        )
    return dict(content)


def seal(data: bytes) -> bytes:
    """`data`, which holds SEAL once, with its digest there."""
    return data.replace(SEAL.encode(), f"sha256:{hashlib.sha256(data).hexdigest()}".encode())


def require_seal(data: bytes, path: Path) -> None:
    """CheckpointError where `data` isn't what `seal` gave."""
    blank, seals = re.subn(rb"sha256:[0-9a-f]{64}", SEAL.encode(), data)
    if seals != 1 or seal(blank) != data:
        raise CheckpointError(
            f"{path}: damaged, or not written by statewise export: its content doesn't match its digest"
        )


def card_from_json(text: str | None, path: Path) -> dict[str, Any]:
    """The card in the metadata of an ONNX file; CheckpointError where there is none."""
    try:
        content = json.loads(text or "")
        return require_card(content if isinstance(content, dict) else {}, path)
    except ValueError as error:
        raise CheckpointError(f"{path}: holds no card of an exported policy ({error})") from error
