"""Pictures: the ray caster sees what geometry says, and a rollout becomes a file that opens."""

import io
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import envs
from envs import picture as raycast
from envs import picture as view
from envs.player import Take, page
from mpo.errors import RequestError
from tests.browser import screenshot
from tests.refusals import Meant, refusal

RED = jnp.array([[0.9, 0.1, 0.1]])


def ball(x, y, z, radius=0.5):
    centre = jnp.array([[x, y, z]], jnp.float32)
    return raycast.Capsules(centre, centre, jnp.array([radius]), RED)


def camera(target):
    return raycast.Camera(
        jnp.array([0.0, -5.0, 1.0]), jnp.array(target, jnp.float32), jnp.asarray(0.5)
    )


def picture(scene, target=(0.0, 0.0, 1.0), size=(40, 40)):
    return np.asarray(raycast.render(scene, camera(target), *size)).astype(int)


def is_red(pixels):
    return pixels[..., 0] > 2 * pixels[..., 2]


@pytest.mark.slow
def test_a_ball_covers_the_disc_that_geometry_says():
    red = is_red(picture(ball(0, 0, 1)))
    assert red[20, 20]
    # Seen from 5 away, a ball of radius ½ fills tan(asin(0.1)) / 0.5 of the half-width.
    radius = 20 * np.tan(np.arcsin(0.1)) / 0.5
    np.testing.assert_allclose(red.sum(), np.pi * radius**2, rtol=0.1)
    rows, columns = np.nonzero(red)
    np.testing.assert_allclose([rows.mean(), columns.mean()], 19.5, atol=0.2)


def test_a_rod_is_a_band_between_two_half_discs():
    scene = raycast.Capsules(
        jnp.array([[-1.0, 0.0, 1.0]]), jnp.array([[1.0, 0.0, 1.0]]), jnp.array([0.2]), RED
    )
    rows, columns = np.nonzero(is_red(picture(scene)))
    scale = 20 / 0.5 / 5
    assert abs(np.ptp(columns) + 1 - 2 * 1.2 * scale) <= 2
    assert abs(np.ptp(rows) + 1 - 2 * 0.2 * scale) <= 2


def test_sky_above_floor_below_and_a_shadow_on_it():
    empty = picture(ball(0, 50, 1))
    np.testing.assert_array_equal(empty[0, :, 2], empty[0, 0, 2])
    assert (empty[0] == np.array([198, 221, 244])).all()
    with_ball = picture(ball(0, 0, 1), target=(0.0, 0.0, 0.5))
    without = picture(ball(0, 50, 1), target=(0.0, 0.0, 0.5))
    floor = ~is_red(with_ball)
    darker = with_ball.sum(-1) < 0.8 * without.sum(-1)
    assert 5 < (floor & darker).sum() < 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"out": "x.mp4"}, r"must end in \.html, \.gif, \.png"),
        ({"steps": 0}, "at least 1"),
        ({"out": "nowhere/x.png"}, "no folder"),
        ({"task": "reach"}, "no body to be seen"),
        ({"task": "hoper"}, Meant("hopper")),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, words, tmp_path):
    wanted = {"out": "x.png", "task": "hopper", "steps": 5, **arguments}
    wanted["out"] = tmp_path / wanted["out"]
    with refusal(words):
        view.write(**wanted, backend="spring", agents={})
    assert not list(tmp_path.rglob("x.*"))


@pytest.mark.parametrize("name", ["folder.png", "x" * 300 + ".png"])
def test_a_place_that_cannot_be_written_to_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.setattr(view, "WRITERS", {".png": lambda *_: b"a picture"})
    monkeypatch.setattr(view, "_states", lambda *_: [])
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RequestError, match="cannot write"):
        view.write(tmp_path / name, "hopper", "spring", agents={"": None})


@pytest.mark.slow
def test_a_rollout_can_be_seen(tmp_path):
    policy = envs.task("ant").policy
    agents = {str(seed): policy.init(jax.random.key(seed)) for seed in range(2)}
    for name in ("x.png", "x.gif", "x.html"):
        view.write(tmp_path / name, "ant", "spring", agents, steps=12, frames=3)
    strip = Image.open(io.BytesIO((tmp_path / "x.png").read_bytes()))
    assert strip.size == (960, 480)
    assert len(np.unique(np.asarray(strip).reshape(-1, 3), axis=0)) > 500
    animation = Image.open(io.BytesIO((tmp_path / "x.gif").read_bytes()))
    assert (animation.n_frames, animation.size) == (12, (640, 240))
    held = re.search(r'id="data">(.*?)</script>', (tmp_path / "x.html").read_text())
    takes = json.loads(held[1])
    assert [take["name"] for take in takes] == list(agents)
    assert all(np.shape(take["rods"])[::2] == (12, 6) for take in takes)


TAKE = Take(
    name="<b>a & b</b></script>",
    seconds=0.05,
    a=np.zeros((4, 2, 3)),
    b=np.ones((4, 2, 3)),
    radius=np.full(2, 0.1),
    colour=np.full((2, 3), 0.5),
)


def test_a_page_is_one_file_in_which_a_name_does_nothing():
    text = page([TAKE, TAKE._replace(name="TAKES")])
    assert not re.search(r"(src|href)=|https?:|url\(|import |fetch\(", text)
    assert text.count("</script>") == 2
    takes = json.loads(re.search(r'id="data">(.*?)</script>', text)[1])
    assert [take["name"] for take in takes] == [TAKE.name, "TAKES"]
    np.testing.assert_allclose(np.array(takes[0]["rods"])[..., 3:], TAKE.b)


@pytest.mark.slow
def test_a_browser_without_a_network_plays_it(tmp_path):
    (tmp_path / "x.html").write_text(page([TAKE]))
    shown = screenshot(tmp_path / "x.html", tmp_path)
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
    sky = np.all(np.abs(shown.astype(int) - [0xC7, 0xDE, 0xEB]) < 3, axis=-1)
    assert sky.mean() > 0.05
