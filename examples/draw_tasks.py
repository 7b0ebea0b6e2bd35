"""Draw every family and level of the navigation tasks from above, as docs/environments.md shows them.

Run as `python examples/draw_tasks.py FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.image
import numpy as np

from statewise.envs import make_vector

PICTURED = {0: "Point", 1: "Car", 2: "Point"}


def draw(task: str, seed: int) -> np.ndarray:
    """The first state of an episode [240, 240, 3], half the size that it is rendered in."""
    env = make_vector(task, 1, render_mode="rgb_array", render_options={"camera": "top"})
    env.reset(seed=seed)
    frames = env.render()
    env.close()
    assert frames is not None
    return frames[0].reshape(240, 2, 240, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for family in ("Goal", "Circle", "Button"):
        for level, robot in PICTURED.items():
            picture = draw(f"Safety{robot}{family}{level}-v0", seed=1)
            matplotlib.image.imsave(folder / f"{family.lower()}{level}.png", picture)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
