"""One call puts a thing of one's own into each registry, under a name that nothing else has."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest

import envs
import mpo
from envs import data
from envs.agents import names
from envs.registry import task_class
from envs.toy import Reach
from mpo.errors import RequestError
from mpo.potentials import kinds
from mpo.pytree import pytree
from mpo.settings import number


@pytree
@dataclass(frozen=True, kw_only=True)
class Hinge(mpo.Objective):
    """A hinge on the margin."""

    name: ClassVar = "edge"
    edge: object = number(1.0, above=0.0)

    def loss(self, c, progress):
        return jnp.maximum(0.0, self.edge - c.logp[0] + c.logp[-1])


@pytree
@dataclass(frozen=True)
class Root(mpo.Potential):
    """The square root of a probability."""

    def __call__(self, log_x, progress=0.0):
        return jnp.exp(0.5 * log_x)


@dataclass(frozen=True)
class Far(Reach):
    """Walk to the origin, for longer."""

    horizon: int = 20

    name: ClassVar = "far"


def experts(key, rows, responses):
    """Two experts in every row."""
    return np.full((rows, responses), data.EXPERT)


pytestmark = pytest.mark.usefixtures("registries_as_they_were")


def test_what_is_registered_is_found_by_its_name():
    assert mpo.register_objective(Hinge) is Hinge
    assert mpo.objective("edge", edge=2.0) == Hinge(edge=2.0)
    assert mpo.register_potential("root")(Root) is Root
    assert mpo.potential("root") == Root()
    assert kinds()["root"] is Root
    assert envs.register_task(Far) is Far
    assert envs.task("far", horizon=3) == Far(horizon=3)
    assert envs.tasks()["far"] == "Walk to the origin, for longer."
    assert data.register_kind("experts", judge="perfect")(experts) is experts
    recipe = data.plan("far", "experts").recipe
    assert recipe.judge.temperature is None
    assert data.KINDS["experts"].summary == "Two experts in every row."
    assert recipe.rows == Reach.defaults.rows, "its defaults are those of its class"


CALLS = {
    "objective": lambda kind, name: mpo.register_objective(kind or renamed(Hinge, name)),
    "potential": lambda kind, name: mpo.register_potential(name, kind or again(Root)),
    "task": lambda kind, name: envs.register_task(kind or renamed(Far, name)),
    "kind of data": lambda kind, name: data.register_kind(
        name, data.Kind("a kind", kind or again(experts))
    ),
}
SHIPPED = {"objective": "dpo", "potential": "log", "task": "hopper", "kind of data": "noisy"}


def renamed(kind, name):
    """Return another class like it, of this name in the registry."""
    return dataclasses.dataclass(frozen=True, kw_only=kind is Hinge)(pytree_of(kind, name))


def pytree_of(kind, name):
    made = type(f"Other{kind.__name__}", (kind,), {"name": name, "__module__": kind.__module__})
    return pytree(made) if issubclass(made, mpo.Objective) else made


def again(thing):
    """Return the thing as a cell of a notebook defines it that runs again."""
    if isinstance(thing, type):
        return type(thing.__name__, (thing,), {"__qualname__": thing.__qualname__, **here()})
    other = lambda *arguments: thing(*arguments)  # noqa: E731
    other.__qualname__, other.__module__ = thing.__qualname__, thing.__module__
    return other


def here():
    return {"__module__": __name__}


@pytest.mark.parametrize("what", CALLS)
def test_a_name_is_taken_once(what):
    with pytest.raises(RequestError, match=f"{what} '{SHIPPED[what]}' is .*another name"):
        CALLS[what](None, SHIPPED[what])
    CALLS[what](None, "mine")
    CALLS[what](None, "mine")  # defined again, as when a notebook's cell runs twice


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("name", ["", "two words", "a/b", "1st"])
def test_a_name_can_be_written_everywhere(what, name):
    with pytest.raises(RequestError, match="a name is letters"):
        CALLS[what](None, name)


def frozen(name, base):
    return dataclass(frozen=True)(type(name, (base,), {}))


@pytest.mark.usefixtures("as_users_have_it")
@pytest.mark.parametrize(
    ("register", "thing", "complaint"),
    [
        (mpo.register_objective, Root, "derive a class from mpo.Objective"),
        (mpo.register_objective, type("Bare", (Hinge,), {}), "put @dataclass"),
        (mpo.register_objective, frozen("B", Hinge), "put @mpo.pytree"),
        (envs.register_task, Hinge, "derive a class from envs.Task"),
        (envs.register_task, type("Bare", (envs.Task,), {}), "put @dataclass"),
        (envs.register_task, frozen("B", envs.Task), "it has no .*start"),
        (mpo.register_potential("odd"), lambda: Root(), "give a class"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_where_it_is_registered(register, thing, complaint):
    with pytest.raises(RequestError, match=complaint):
        register(thing)


@pytest.mark.parametrize("name", ["reach", "token_bandit"])
def test_the_agents_of_a_tasks_defaults_are_there(name):
    kind = task_class(name)
    assert {kind.defaults.reference, kind.defaults.close} <= set(envs.task(name).agents())


def test_roles_stand_for_agents_that_ship():
    """Of the tasks of one's own that have a shipped task for a base, too."""
    from envs.physics import ThreeLeggedAnt

    for role, level in ThreeLeggedAnt.defaults.roles.items():
        assert f"three_legged_ant/{role}" in names()
        assert level in names() or f"three_legged_ant/{level}" in names()

    @dataclass(frozen=True)
    class Other(ThreeLeggedAnt):
        """One that has no agents of its own, and those of other tasks by role."""

        name: ClassVar = "other"

    assert Other().agents() == ("unadapted",)
