"""The registry of methods."""

from __future__ import annotations

import pytest

from statewise.config import OnPolicyConfig, SacConfig
from statewise.methods import METHODS, Method, build_method, find_method, register
from statewise.onpolicy.improvement import Improvement
from statewise.sac.mechanism import Mechanism


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_found_under_its_configurations_name(name: str) -> None:
    method = find_method(name)
    assert method.config.method == name
    assert method.summary
    config = method.config()
    if isinstance(config, OnPolicyConfig):
        assert isinstance(build_method(config), Improvement)
        return
    assert isinstance(config, SacConfig)
    mechanism = build_method(config)
    assert isinstance(mechanism, Mechanism)
    assert (mechanism.dual is None) is (mechanism.update is None)


def test_an_unknown_method_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(ValueError, match=r"method: 'sac-alm' is unknown; did you mean 'sac-alam'\? Known are sac, "):
        find_method("sac-alm")
    with pytest.raises(ValueError, match="method: 'xyz' is unknown; known are sac, "):
        find_method("xyz")


def test_a_taken_name_is_refused() -> None:
    with pytest.raises(ValueError, match="method: 'sac' is registered already"):
        register(Method(SacConfig, "again", "statewise.sac.mechanisms.none"))


def test_a_method_from_outside_may_bring_a_function(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(SacConfig):
        method = "mine"

    mechanism = build_method(SacConfig())
    monkeypatch.setattr("statewise.methods.METHODS", {})
    register(Method(Mine, "a method of one's own", lambda config, networks: mechanism))
    assert build_method(Mine()) is mechanism
