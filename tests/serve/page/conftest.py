"""A browser, a desk and a page that complains of nothing."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")


HERE = Path(__file__).parent


def load(name, file=None):
    """Return a module that lies beside the tests, or elsewhere among them."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file or HERE / f"{name}.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as api:
        chromium = api.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def real_desk():
    """Return the functions that run the desk itself, with a browser on it."""
    pytest.importorskip("uvicorn", reason="fissura[serve] is not installed")
    return load("real_desk")


@pytest.fixture(scope="session")
def fake_desk():
    """Return the module of the desk that only speaks as one."""
    return load("fake_desk")


@pytest.fixture(scope="session")
def kit():
    """Return the walls with cracks that have grown, of the comparison's tests."""
    return load("walls_of_comparison", HERE.parents[1] / "comparison" / "conftest.py").Kit


@pytest.fixture
def desk():
    """Return a desk of three drawn photos."""
    return load("fake_desk").drawn_desk(3, classes=("crack", "joint"))


@pytest.fixture
def address(desk):
    server = load("fake_desk").serve(desk)
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    desk.down = True  # ends the events, whose threads wait
    server.shutdown()
    server.server_close()


@pytest.fixture
def complaints():
    """Return a list of what a test expects the browser to complain of."""
    return []


@pytest.fixture
def page(browser, address, complaints):
    """Open the page in English; fail where its console holds an error or a violation of the CSP."""
    context = browser.new_context(viewport={"width": 1300, "height": 800}, locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)  # the machine may have much else to do
    heard = []
    page.on("console", lambda line: heard.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.wait_for_selector("#zoom:has-text('%')")
    yield page
    context.close()
    assert not [text for text in heard if not any(known in text for known in complaints)]
