"""What the tests of the status share."""

import pytest
from status_scene import Scene


@pytest.fixture
def scene(tmp_path, clock):
    return Scene(tmp_path / "data", clock)


@pytest.fixture
def pair(scene):
    """A provider and a follower that trades, and all is well."""
    provider, follower = scene.provide(), scene.follow()
    scene.publish(provider, "2")
    scene.acknowledge(follower, 2, status="filled", volume="2")
    assert scene.codes() == {"bob/desk": []}
    return provider, follower
