"""One step from each recorded state, against Safety-Gymnasium 1.0.0 on MuJoCo 2.3.3."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from recordings import IDS, forced_step

# Since 3.4 MuJoCo reports how deep boxes are in each other differently, and for that there is no remedy. CarButton2 has
# most of those, and even before some of its steps sit where rounding makes a difference: 98.7 % of them are close.
OLD_CONTACTS = tuple(int(part) for part in mujoco.__version__.split(".")[:2]) < (3, 4)
CLOSE = 1e-10
LEAST_CLOSE = {"SafetyCarButton2-v0": 0.985}
FLIPS = {"SafetyCarButton2-v0": 1}
NEW_FLIPS = {"SafetyPointButton2-v0": 1, "SafetyCarGoal2-v0": 18, "SafetyCarButton2-v0": 1}

every_recording = pytest.mark.parametrize("env_id", IDS)


@every_recording
def test_steps_agree_to_rounding_while_nothing_touches(env_id):
    forced = forced_step(env_id)
    assert forced.apart.sum() > 200
    assert forced.qvel[forced.apart].max() < (1e-9 if "Point" in env_id else 1e-4)
    assert np.median(forced.qvel) < 1e-11
    assert np.median(forced.reward) < 1e-14
    assert np.median(forced.obs) < 1e-6


@every_recording
def test_costs_and_goals_flip_no_more_than_mujoco_changed(env_id):
    flips = FLIPS if OLD_CONTACTS else NEW_FLIPS
    assert forced_step(env_id).flips.sum() <= flips.get(env_id, 0)


@every_recording
def test_steps_agree_with_contacts_too_where_mujoco_has_not_changed_them(env_id):
    forced = forced_step(env_id)
    close = (forced.qvel < CLOSE).mean()
    contact_free = "Circle" in env_id or "Goal1" in env_id
    if OLD_CONTACTS or contact_free:
        assert close >= LEAST_CLOSE.get(env_id, 0.99)
        assert np.quantile(forced.obs, 0.99) < 1e-5
        assert np.quantile(forced.reward, 0.99) < 1e-10
    else:
        assert close >= 0.8
