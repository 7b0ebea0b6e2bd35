"""Blocks of gradient steps of several seeds as one compiled call, for devices that one seed's networks don't fill."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from statewise.runtime import compiler_options
from statewise.sac.sac_learner import SacLearner


class Together:
    """Several learners, each in a thread of its own, whose blocks are made under `vmap` once all have asked for theirs.

    They have to differ in nothing but their seeds. Each learns what it learns alone, to rounding. Those that are at
    another gradient step than the others, say because they were resumed from elsewhere, have their blocks to
    themselves: when a dual cycle is due is one number for all that are batched.
    """

    def __init__(self, learners: Sequence[SacLearner]) -> None:
        self._learners = list(learners)
        self._turn = threading.Condition()
        self._waiting: dict[int, tuple[Any, ...]] = {}
        self._made: dict[int, Any] = {}
        self._members = set(range(len(self._learners)))
        first = self._learners[0]
        self._sac, self._unpack = first.sac, first.layout.unpack
        options = compiler_options(first.config.precision)
        self._update = jax.jit(self._update_of_many, donate_argnums=0, compiler_options=options)
        for place, learner in enumerate(self._learners):
            learner.make_block = partial(self._block, place)

    def leave(self, learner: object) -> None:
        """Wait for this learner no more."""
        with self._turn:
            for place in [place for place in self._members if self._learners[place] is learner]:
                self._members.remove(place)
                self._learners[place].make_block = self._learners[place].compiled_update
            self._make_if_all_wait()

    def _block(self, place: int, *asked: Any) -> Any:
        """A learner's block, `SacLearner.make_block`: it returns when everybody has asked for one, and all are made."""
        with self._turn:
            self._waiting[place] = asked
            self._make_if_all_wait()
            self._turn.wait_for(lambda: place in self._made)
            made = self._made.pop(place)
        if isinstance(made, BaseException):
            raise made
        return made

    def _make_if_all_wait(self) -> None:
        if not self._waiting or self._waiting.keys() < self._members:
            return
        by_step: dict[int, list[int]] = {}
        for place in sorted(self._waiting):
            by_step.setdefault(self._learners[place].gradient_step, []).append(place)
        for step, places in by_step.items():
            try:
                self._made |= dict(zip(places, self._make(step, places), strict=True))
            except Exception as error:
                # Each learner raises it, in its own thread.
                self._made |= dict.fromkeys(places, error)
        self._waiting.clear()
        self._turn.notify_all()

    def _make(self, step: int, places: list[int]) -> Sequence[Any]:
        asked = [self._waiting[place] for place in places]
        if len(places) == 1:
            return [self._learners[places[0]].compiled_update(*asked[0])]
        return self._update(*map(tuple, zip(*asked, strict=True)), jnp.asarray(step, jnp.int32))

    def _update_of_many(
        self, states: tuple[Any, ...], rows: tuple[Any, ...], dual: tuple[Any, ...], keys: tuple[Any, ...], step: Any
    ) -> list[Any]:
        def update(state: Any, rows: Any, dual: Any, key: Any) -> Any:
            return self._sac.update_block(state, self._unpack(rows), self._unpack(dual), key, step)

        stacked = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) for each in (states, rows, dual, keys))
        made = jax.vmap(update)(*stacked)
        return [jax.tree.map(lambda leaf, place=place: leaf[place], made) for place in range(len(states))]
