"""The command and what it checks: everything holds, every check can fail, pictures and data are written."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from statewise.cli import main
from statewise.core.ops import lagrangian
from statewise.report.theory_pictures import risk_picture
from statewise.theory.reachability import DoubleIntegrator
from statewise.theory.road_runs import road_claims
from statewise.theory.tables import write_tables
from statewise.theory.updates import DualUpdate
from statewise.theory.verify import Verification, theorem_claims, units, verify

pytestmark = pytest.mark.slow

PROBLEMS = 4
WRONG: dict[str, DualUpdate] = {
    "sign": lambda lam, f, rho: np.maximum(0.0, lam - rho * f),
    "no projection": lambda lam, f, rho: lam + rho * f,
    "twice too far": lambda lam, f, rho: np.maximum(0.0, lam + 2.5 * rho * f),
    "stands still": lambda lam, f, rho: lam,
}


@pytest.fixture(scope="module")
def verification() -> Verification:
    told: list[int] = []
    found = verify(PROBLEMS, advance=told.append)
    assert told == list(range(1, units(PROBLEMS) + 1))
    return found


def test_every_claim_holds(verification: Verification) -> None:
    assert [claim.name for claim in verification.claims if not claim.holds] == []
    assert verification.holds
    assert len(verification.claims) == 16


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("sign", {"Theorem 1", "Theorem 2", "Eq."}),
        ("no projection", {"Theorem 1", "Theorem 2", "Eq."}),
        ("twice too far", {"Eq."}),
        ("stands still", {"Theorem 2"}),
    ],
)
def test_a_wrong_update_breaks_what_it_should(name: str, broken: set[str]) -> None:
    claims = theorem_claims(PROBLEMS, 60, update=WRONG[name])
    failed = [claim.name for claim in claims if not claim.holds]
    assert all(any(claim.startswith(part) for claim in failed) for part in broken)


@pytest.mark.parametrize(
    ("function", "wrong"),
    [
        ("dual_target", lambda lam, g, rho: jnp.maximum(0.0, lam - rho * g)),
        ("violation", lambda lam, g, rho: jnp.sqrt(jnp.mean(jnp.square(g)))),
        ("penalty_growth", lambda rho, v, growth, largest: growth * rho),
    ],
)
def test_a_wrong_function_of_training_is_found(
    function: str, wrong: Any, verification: Verification, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lagrangian, function, wrong)
    failed = [claim.name for claim in road_claims(verification.road) if not claim.holds]
    assert len(failed) == 1
    assert "Training's own functions" in failed[0]


def test_a_network_that_did_not_learn_is_found(verification: Verification) -> None:
    networks = verification.road.networks
    swapped = {**networks, "regression": networks["ascent"], "ascent": networks["regression"]}
    failed = [claim.name for claim in road_claims(verification.road._replace(networks=swapped)) if not claim.holds]
    assert len(failed) == 1
    assert "multiplier network" in failed[0]


def test_command_prints_every_claim_and_writes_pictures_and_data(
    verification: Verification,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("statewise.theory.verify.verify", lambda problems, advance: verification)
    folder = tmp_path / "new" / "folder"
    assert main(["verify", "--quiet", "-o", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("held  ") == len(verification.claims)
    assert all(claim.outcome in captured.out for claim in verification.claims)
    assert captured.err == ""
    names = {
        "updates.png",
        "networks.png",
        "safe-set.png",
        "claims.json",
        "solution.csv",
        "updates.csv",
        "networks.csv",
    }
    assert {path.name for path in folder.iterdir()} == names
    assert all(str(folder / name) in captured.out for name in names)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))


def test_command_fails_where_a_claim_does(
    verification: Verification, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tuple(theorem_claims(1, 20, update=WRONG["no projection"]))
    monkeypatch.setattr("statewise.theory.verify.verify", lambda problems, advance: verification._replace(claims=wrong))
    assert main(["verify", "--quiet"]) == 3
    captured = capsys.readouterr()
    assert "NOT HELD  Theorem 1" in captured.out
    assert captured.err.startswith("statewise: ")
    assert f"of {len(wrong)} claims did not hold" in captured.err
    assert captured.err.count("\n") == 1


def test_folder_that_is_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["verify", "-o", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert "output" in said
    assert "can't be a folder" in said
    assert main(["verify", "--problems", "0"]) == 2
    assert "problems: 0 is not allowed" in capsys.readouterr().err


def test_tables_hold_what_the_pictures_show(verification: Verification, tmp_path: Path) -> None:
    write_tables(verification, tmp_path)
    claims = json.loads((tmp_path / "claims.json").read_text(encoding="utf-8"))
    assert [claim["holds"] for claim in claims] == [True] * len(verification.claims)
    rows = {
        name: list(csv.DictReader(io.StringIO((tmp_path / name).read_text(encoding="utf-8"))))
        for name in ("solution.csv", "updates.csv")
    }
    assert [float(row["lambda"]) for row in rows["solution.csv"]] == pytest.approx(verification.road.optimum.lam)
    assert "ascent, no penalty: lambda" in rows["solution.csv"][0]
    last = rows["updates.csv"][-1]
    assert float(last["paper: kkt"]) < 1e-6 < 0.1 < float(last["ascent 4: distance"])


def test_picture_of_a_policy(tmp_path: Path) -> None:
    def risk(obs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.exp(obs[:, 1]), np.abs(obs[:, 1])

    risk_picture(risk, DoubleIntegrator(), 0.5, tmp_path / "risk.png")
    assert (tmp_path / "risk.png").read_bytes().startswith(b"\x89PNG")
