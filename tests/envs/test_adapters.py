"""Foreign environments: the forms that are taken, those that are refused, and the faults that are caught."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete
from hypothesis import given
from hypothesis import strategies as st
from support.toy_envs import Costless, Faulty, Odd, Point, Signed, SixValues

from statewise.actions import normalize_action, rescale_action
from statewise.envs import GymnasiumVector, SafeVectorEnv, make_vector
from statewise.envs.adapters import DEFAULT_EPISODE_STEPS
from statewise.errors import EnvironmentFault


def beyond_one(obs, action, next_obs):
    assert obs.shape == next_obs.shape == (2,)
    np.testing.assert_allclose(next_obs[0] - obs[0], action[0], atol=1e-6)
    return next_obs[0] - 1.0


@pytest.mark.parametrize(
    ("build", "constraint", "has_constraint"),
    [(Point, None, False), (SixValues, None, False), (Signed, None, True), (Costless, beyond_one, True)],
)
def test_every_accepted_form_gives_the_same_costs(build, constraint, has_constraint):
    env = make_vector(build, 2, constraint=constraint)
    assert env.has_constraint is has_constraint
    obs, _ = env.reset(seed=4)
    np.testing.assert_array_equal(obs, [Point().reset(seed=seed)[0] for seed in (4, 5)])
    for _ in range(2):
        obs, reward, terminated, truncated, infos = env.step(np.array([[0.75], [-0.25]]))
        assert reward.tolist() == [0.75, -0.25]
        assert not (terminated | truncated).any()
        np.testing.assert_array_equal(infos["cost"], obs[:, 0] > 1.0)
        np.testing.assert_array_equal(infos["next_obs"], obs)
        if has_constraint:
            np.testing.assert_allclose(infos["constraint"], obs[:, 0] - 1.0, atol=1e-6)
        else:
            assert np.isnan(infos["constraint"]).all()
        assert obs.dtype == reward.dtype == infos["cost"].dtype == np.float64
    assert env.step(np.array([[0.75], [-0.25]]))[4]["cost"].tolist() == [1.0, 0.0]


def test_constraint_function_stands_above_the_environments_own_cost():
    env = make_vector(Point, 1, constraint=lambda obs, action, next_obs: -1.0)
    env.reset(seed=0)
    assert env.step(np.array([[2.0]]))[4]["cost"].tolist() == [0.0]


def test_costs_other_than_zero_and_one_are_passed_on():
    env = GymnasiumVector([Faulty("cost", 2.5, at=2)], task="costly")
    env.reset(seed=0)
    assert env.step(np.array([[0.0]]))[4]["cost"].tolist() == [2.5]


def test_finished_world_restarts_and_shows_its_true_successor():
    env = make_vector(Point, 2)
    env.reset(seed=0)
    env.step(np.array([[1.9], [0.0]]))
    obs, _, terminated, _, infos = env.step(np.array([[1.9], [0.0]]))
    assert terminated.tolist() == infos["_final_obs"].tolist() == [True, False]
    assert infos["final_obs"][0, 0] > 3.0
    assert abs(obs[0, 0]) <= 0.1
    np.testing.assert_array_equal(obs[1], infos["next_obs"][1])


def test_environment_without_a_limit_is_truncated_after_the_default():
    env = make_vector(Point, 1)
    assert env.max_episode_steps == DEFAULT_EPISODE_STEPS
    env.reset(seed=0)
    ends = [step for step in range(1, 2001) if env.step(np.zeros((1, 1)))[3][0]]
    assert ends == [1000, 2000]


def test_limit_of_the_spec_holds():
    env = make_vector("Pendulum-v1", 2, constraint=lambda obs, action, next_obs: abs(next_obs[2]) - 6.0)
    assert (env.task, env.max_episode_steps) == ("Pendulum-v1", 200)
    env.reset(seed=0)
    truncated = [env.step(np.zeros((2, 1)))[3].all() for _ in range(200)]
    assert truncated == [False] * 199 + [True]


def test_instance_is_world_zero_and_is_cloned_from_its_spec():
    pendulum = gymnasium.make("Pendulum-v1", g=1.0)
    env = make_vector(pendulum, 3, constraint=lambda obs, action, next_obs: -1.0)
    assert isinstance(env, GymnasiumVector)
    assert env._worlds[0].env is pendulum
    assert [world.env.unwrapped.g for world in env._worlds] == [1.0] * 3  # pyright: ignore[reportAttributeAccessIssue]


def test_inexact_state_starts_the_same_fresh_episodes_every_time():
    env = make_vector(Point, 2)
    assert not env.exact_state
    env.reset(seed=0)
    env.step(np.ones((2, 1)))
    state = env.get_state()
    first, again = env.set_state(state), make_vector(Point, 2).set_state(state)
    np.testing.assert_array_equal(first, again)
    assert (np.abs(first[:, 0]) <= 0.1).all()
    assert first[0, 0] != first[1, 0]
    later = {**state, "episodes": state["episodes"] + np.uint64(1)}
    assert (env.set_state(later)[:, 0] != first[:, 0]).all()


REFUSED = {
    "discrete actions": (lambda: Odd(action_space=Discrete(3)), "continuous actions"),
    "several discrete actions": (lambda: Odd(action_space=MultiDiscrete([2, 2])), "continuous actions"),
    "whole-number actions": (lambda: Odd(action_space=Box(0, 3, (1,), np.int64)), "continuous actions"),
    "unbounded actions": (lambda: Odd(action_space=Box(-np.inf, np.inf, (1,))), "bounds must be finite"),
    "dict observations": (lambda: Odd(observation_space=Dict(a=Box(0, 1, (2,)))), "FlattenObservation"),
    "image observations": (lambda: Odd(observation_space=Box(0, 255, (8, 8, 3), np.uint8)), "FlattenObservation"),
    "no cost": (Costless, "info\\['cost'\\]"),
}


@pytest.mark.parametrize(("build", "advice"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_trained_on_is_refused_at_construction(build, advice):
    with pytest.raises(ValueError, match=advice):
        make_vector(build, 2)


@pytest.mark.parametrize("first_obs", [[np.nan, 0.0], [0.0], "nothing"])
def test_bad_first_observation_is_caught_at_construction(first_obs):
    with pytest.raises(EnvironmentFault, match="world 0, step 0: observation"):
        make_vector(lambda: Odd(first_obs=first_obs), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_vector("SafetyAntsVelocity-v1", 1), "did you mean SafetyAntVelocity-v1"),
        (lambda: make_vector("no_such_module:Thing-v0", 1), "no_such_module"),
        (lambda: make_vector("SafetyAntVelocity-v1", 0), "num_envs is 0"),
        (lambda: make_vector("SafetyAntVelocity-v1", 1, threads=0), "threads is 0"),
        (lambda: make_vector("SafetyAntVelocity-v1", 1, constraint=beyond_one), "lambda: gymnasium.make"),
        (lambda: make_vector(Point(), 2), "no spec"),
        (lambda: make_vector(Point(), 1, render_mode="rgb_array"), "render_mode"),
        (lambda: make_vector(lambda: 3, 1), "must return a gymnasium.Env"),  # pyright: ignore[reportArgumentType]
        (lambda: make_vector(lambda: 1 / 0, 1), "ZeroDivisionError"),  # pyright: ignore[reportArgumentType]
        (lambda: GymnasiumVector([], task="none"), "envs is empty"),
    ],
)
def test_factory_says_what_to_do(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_id_may_name_the_module_that_registers_it():
    env = make_vector("statewise.envs:SafetySwimmerVelocity-v1", 2)
    assert (env.task, env.num_envs, env.exact_state) == ("SafetySwimmerVelocity-v1", 2, True)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("obs", [np.nan, 0.0], "observation is not finite"),
        ("obs", [0.0, 0.0, 0.0], "observation has shape"),
        ("reward", np.inf, "reward is inf"),
        ("reward", 10**400, "reward is 1000+, not a number"),
        ("cost", np.nan, "cost is nan"),
        ("cost", -1.0, "cost is -1.0"),
        ("terminated", 0.5, "terminated is 0.5"),
        ("info", None, "info is not a dict"),
        ("answer", (1, 2, 3), "did not return five values"),
        ("answer", RuntimeError("the robot is gone"), "raised RuntimeError: the robot is gone"),
    ],
)
def test_fault_names_world_step_and_field(field, value, message):
    # World 0 made one step at construction.
    env = GymnasiumVector([Point(), Faulty(field, value, at=3)], task="faulty")
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.zeros((2, 1)))
    with pytest.raises(EnvironmentFault, match=f"world 1, step 3: .*{message}"):
        env.step(np.zeros((2, 1)))


def test_failing_constraint_function_is_named():
    with pytest.raises(EnvironmentFault, match="constraint raised ZeroDivisionError"):
        make_vector(Point, 1, constraint=lambda obs, action, next_obs: 1 / 0)


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=3),
    st.lists(st.floats(), max_size=4),
    st.dictionaries(st.sampled_from(["cost", "constraint"]), st.floats() | st.none(), max_size=2),
    st.tuples(st.floats(), st.floats()),
    st.builds(RuntimeError, st.text(max_size=3)),
    st.just(np.array(["a"], object)),
)
FIELDS = st.sampled_from(["obs", "reward", "terminated", "truncated", "info", "cost", "answer"])


@given(field=FIELDS, value=VALUES, at=st.integers(0, 4))
def test_nothing_else_comes_out_of_a_faulty_environment(field, value, at):
    try:
        env: SafeVectorEnv = make_vector(lambda: Faulty(field, value, at), 2)
        env.reset(seed=0)
        outcomes = [env.step(np.zeros((2, 1))) for _ in range(5)]
    except (EnvironmentFault, ValueError):
        return
    for obs, reward, *_, infos in outcomes:
        assert np.isfinite(obs).all()
        assert np.isfinite(reward).all()
        assert np.isfinite(infos["cost"]).all()


bounds = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))


@given(bounds=bounds, action=st.floats(-1, 1))
def test_rescaled_actions_stay_in_bounds_and_come_back(bounds, action):
    low, width = bounds
    space = Box(np.array([low]), np.array([low + width]), dtype=np.float64)
    rescaled = rescale_action(np.array([action]), space)
    assert space.contains(rescaled)
    assert normalize_action(rescaled, space)[0] == pytest.approx(action, abs=1e-9)
    ends = rescale_action(np.array([[-1.0], [1.0]]), space)
    np.testing.assert_allclose(ends[:, 0], [low, low + width], rtol=1e-12)


def test_unit_bounds_leave_actions_alone():
    space = Box(-1.0, 1.0, (3,), np.float32)
    action = np.random.default_rng(0).uniform(-1, 1, (4, 3))
    np.testing.assert_array_equal(rescale_action(action, space), action)
    assert normalize_action(action, space) is action


def test_actions_outside_of_their_bounds_are_clipped():
    for space in (Box(-1.0, 1.0, (2,), np.float32), Box(-3.0, 1.0, (2,), np.float32)):
        ends = rescale_action(np.array([[-1.7, 2.5], [-1.0, 1.0]]), space)
        np.testing.assert_array_equal(ends[0], ends[1])
        np.testing.assert_array_equal(ends[0], [space.low[0], space.high[1]])


# --- what an environment declares --------------------------------------------------------------------------------


class Declares(Point):
    """A point that says which of its entries sense nearness, and which part of its actions has an effect."""

    velocity = (1,)

    def __init__(self, part: object = None, proximity: object = (1,)) -> None:
        super().__init__()
        self.effective_action_space = Box(0.0, 1.0, (1,), np.float32) if part is None else part
        self.proximity = proximity


def test_declared_actions_and_sensors_are_taken():
    env = make_vector(Declares, 1)
    assert env.effective_action_space == Box(0.0, 1.0, (1,), np.float32)
    assert env.proximity == (1,)
    assert env.velocity == (1,)


def test_without_a_declaration_all_actions_count_and_nothing_senses_nearness():
    env = make_vector(Point, 1)
    assert env.effective_action_space == env.single_action_space
    assert env.proximity == ()
    assert env.velocity == ()


def test_wrappers_that_change_a_space_make_its_declaration_void():
    low, high = np.array([-1.0], np.float32), np.array([1.0], np.float32)
    wrapped = make_vector(lambda: gymnasium.wrappers.RescaleAction(Declares(), low, high), 1)
    assert wrapped.effective_action_space == wrapped.single_action_space
    assert wrapped.proximity == (1,)


@pytest.mark.parametrize("part", [Box(-1.0, 1.0, (1,), np.float32), Box(0.0, 1.0, (2,), np.float32), "all"])
def test_a_declared_part_must_lie_inside_of_the_action_space(part):
    with pytest.raises(ValueError, match=r"effective_action_space is .*; it must be a Box inside of"):
        make_vector(lambda: Declares(part), 1)


@pytest.mark.parametrize("proximity", [(2,), (-1,), ("x",)])
def test_declared_sensors_must_be_entries_of_the_observation(proximity):
    with pytest.raises(ValueError, match="must be entries of an observation of 2"):
        make_vector(lambda: Declares(proximity=proximity), 1)


def test_the_native_robots_declare_both():
    point, car = (make_vector(f"Safety{robot}Goal1-v0", 1) for robot in ("Point", "Car"))
    np.testing.assert_allclose(point.effective_action_space.high, [0.05, 1.0])
    np.testing.assert_allclose(car.effective_action_space.low, [-0.02, -0.02])
    assert point.proximity == tuple(range(12, 60))
    assert car.proximity == tuple(range(24, 72))
    single = make_vector(lambda: gymnasium.make("SafetyPointGoal1-v0"), 1)
    assert single.proximity == point.proximity
    assert single.effective_action_space == point.effective_action_space


# --- numbers that a float32 can't hold ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("obs", [0.0, 1e39], r"observation is not finite at \[1\], as a float32: 1e\+39"),
        ("reward", -1e39, "reward is -1e\\+39; it must be finite, as a float32"),
        ("cost", 1e39, "cost is 1e\\+39"),
        ("info", {"cost": 0.0, "constraint": 1e39}, "info\\['constraint'\\] is 1e\\+39"),
    ],
)
def test_a_number_beyond_float32_is_the_fault_of_the_environment_that_gives_it(field, value, message):
    env = GymnasiumVector([Faulty(field, value, at=2)], task="huge")
    env.reset(seed=0)
    with pytest.raises(EnvironmentFault, match=f"world 0, step 1: {message}"):
        env.step(np.zeros((1, 1)))


class Exiting(Point):
    """A point that leaves the process in its second step."""

    count = 0

    def step(self, action):
        self.count += 1
        if self.count == 2:
            raise SystemExit(0)
        return super().step(action)


def test_an_environment_that_calls_sys_exit_is_at_fault():
    env = make_vector(Exiting, 1)
    env.reset(seed=0)
    with pytest.raises(EnvironmentFault, match=r"step\(\) raised SystemExit"):
        env.step(np.zeros((1, 1)))


class Told(Point):
    """A point that starts where the options of a reset say."""

    def reset(self, *, seed=None, options=None):
        obs, info = super().reset(seed=seed)
        if options:
            self.position = float(options["at"])
            obs = self.obs()
        return obs, info


def test_options_of_a_reset_reach_foreign_environments_for_one_episode():
    env = make_vector(Told, 2)
    obs, _ = env.reset(seed=0, options={"at": 0.5})
    assert obs[:, 0].tolist() == [0.5, 0.5]
    env.step(np.full((2, 1), 1.9))
    obs, _, terminated, *_ = env.step(np.full((2, 1), 1.9))
    assert terminated.all()
    assert (np.abs(obs[:, 0]) <= 0.1).all()


def test_the_last_state_of_an_episode_is_there_until_the_next_one_begins():
    env = make_vector(Point, 2)
    seen: list[tuple[list[bool], list[bool]]] = []

    def note(done):
        seen.append((done.tolist(), env.ended.tolist()))

    env.before_restart = note
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([[1.9], [0.0]]))
    assert seen == [([True, False], [True, False])]
    assert not env.ended.any()
