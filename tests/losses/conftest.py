"""The losses' contract holds on both of their ways: the fused form and the plain one."""

import pytest


@pytest.fixture(scope="module", params=["fused", "plain"])
def both_ways(request):
    """Run every test of a module twice: as users have it, and with all losses as written."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "plain":
            patch.setenv("FISSURA_PLAIN_LOSSES", "1")
        yield
