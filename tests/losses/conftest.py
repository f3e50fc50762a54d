"""The losses' contract holds on both of their ways: the fused form and the plain one."""

import pytest

from fissura.losses import _fused


@pytest.fixture(scope="module", params=["fused", "plain"])
def both_ways(request):
    """Run every test of a module twice: as users have it, and with the fused form never applied."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setattr(_fused, "applies", lambda *tensors: False)
        yield
