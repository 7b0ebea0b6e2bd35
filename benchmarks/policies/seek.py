"""A fixed policy without learning: turn towards what the goal's lidar shows and go there, whatever stands in the way.

`act(obs, task)` is all that `rollouts.py` asks of a policy file.
"""

import numpy as np

BINS = 16


def act(obs, task):
    """The action [2] in [-1, 1] for one observation of a navigation task, given its id."""
    sensors = 12 if "Point" in task else 24
    if "Circle" in task:
        lidar = obs[sensors : sensors + BINS]
    else:
        first = sensors + (BINS if "Button" in task else 0)
        lidar = obs[first : first + BINS]
    angles = (np.arange(BINS) + 0.5) * (2.0 * np.pi / BINS)
    ahead = 0.0 if "Point" in task else -0.5 * np.pi
    bearing = np.arctan2((lidar * np.sin(angles)).sum(), (lidar * np.cos(angles)).sum()) - ahead
    if "Circle" in task:
        # Keep the circle's middle to the left.
        bearing -= 0.5 * np.pi
    bearing = (bearing + np.pi) % (2.0 * np.pi) - np.pi
    if "Point" in task:
        return np.array([0.03 * np.cos(bearing), np.clip(0.6 * bearing, -1.0, 1.0)])
    turn, drive = 0.006 * np.clip(bearing, -1.0, 1.0), 0.012 * np.cos(bearing)
    return np.array([drive + turn, drive - turn])
