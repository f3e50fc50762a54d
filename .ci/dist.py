"""Build wheel and sdist into dist/, and try the wheel in an empty environment: `make dist`.

The wheel is built from the sdist, so that both are complete. It is installed with the base alone,
without any extra, in the versions of constraints.txt; then a photo is predicted and inspected from
a folder that holds nothing else.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    print("$", *command, flush=True)
    # A PYTHONPATH would let the source tree stand in for the wheel.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(result.stdout, end="", flush=True)
    return result.stdout


def try_wheel(wheel: Path, folder: Path) -> None:
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    python, fissura = programs / "python", programs / "fissura"
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--constraint", ROOT / "constraints.txt", wheel)
    work = folder / "work"
    work.mkdir()
    photo = "from PIL import Image; Image.radial_gradient('L').convert('RGB').save('photo.jpg')"
    run(python, "-c", photo, cwd=work)
    assert run(fissura, "--version", cwd=work).strip() in wheel.name
    run(fissura, "predict", "photo.jpg", cwd=work)
    assert (work / "predictions" / "masks" / "photo.png").is_file()
    run(fissura, "inspect", "photo.jpg", "--out", "report", "--mm-per-pixel", "0.2", cwd=work)
    assert (work / "report" / "report.html").is_file()
    run(fissura, "models", cwd=work)
    # Base alone: nothing of the extras came along.
    extras = ("timm", "tensorboard", "lightning_fabric", "skimage", "rasterio")
    found = f"from importlib.util import find_spec; print([n for n in {extras} if find_spec(n)])"
    assert run(python, "-c", found, cwd=work).strip() == "[]"


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST)
    (wheel,) = DIST.glob("*.whl")
    (sdist,) = DIST.glob("*.tar.gz")
    with tempfile.TemporaryDirectory() as folder:
        try_wheel(wheel, Path(folder))
    for file in (wheel, sdist):
        print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
