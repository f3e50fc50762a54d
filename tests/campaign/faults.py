"""Parts two and three: kills, full disks, lost permissions, jumping clocks, two at once."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .launch import import_everything
from .scenarios import OUT, SCENARIOS, Ended, Undisturbed, end, go_on, run, start

ROOMY = 64 * 2**20


class Trial:
    """One disturbance of one scenario.

    Args:
        whole: The scenario, undisturbed.
        folder: Folder for its files, which is made anew.
        chance: Where and when it is disturbed.
    """

    def __init__(self, whole: Undisturbed, folder: Path, chance: random.Random) -> None:
        self.whole, self.scenario, self.chance = whole, whole.scenario, chance
        self.folder = whole.fresh(folder)

    def change(self) -> int:
        """Return the number of a change of files, at any part of the run."""
        return self.chance.randint(1, max(self.whole.ended.changes, 1))

    def same(self, last: Ended) -> str:
        """Return what is wrong after going on; nothing where all is as if undisturbed."""
        if last.status not in (0, 3):
            return f"does not go on, exit status {last.status}: {_end_of(last)}"
        differing = self.whole.differing(self.folder)
        return f"other results: {', '.join(differing[:4])}" if differing else ""


def killed_at_a_change(trial: Trial) -> str:
    """Kill the process at a change of a file, and sometimes the one that goes on, too."""
    run(trial.folder, trial.scenario, trial.scenario.words, "kill", trial.change())
    if trial.chance.random() < 0.5:
        run(trial.folder, trial.scenario, trial.scenario.resume, "kill", trial.change())
    return trial.same(go_on(trial.scenario, trial.folder))


def killed_at_any_time(trial: Trial) -> str:
    """Kill all processes at a random moment."""
    process = start(trial.folder, trial.scenario, trial.scenario.words)
    time.sleep(trial.chance.uniform(0.2, 1) * trial.whole.ended.seconds)
    process.kill()
    return trial.same(go_on(trial.scenario, trial.folder))


def disk_full(trial: Trial) -> str:
    """Put the results on a disk that is too small, and go on with a larger one."""
    out, fraction = trial.folder / OUT, trial.chance.uniform(0.02, 0.98)
    size = max(int(trial.whole.bytes * fraction), 4096)
    out.mkdir()
    if not mount(out, size):
        return disk_full_at_a_change(trial)
    try:
        ended = run(trial.folder, trial.scenario, trial.scenario.words)
        wrong = _told(ended, may_end=True)
        subprocess.run(["mount", "-o", f"remount,size={ROOMY}", str(out)], check=True)
        return wrong or trial.same(go_on(trial.scenario, trial.folder))
    finally:
        subprocess.run(["umount", "-l", str(out)], check=True)


def disk_full_at_a_change(trial: Trial) -> str:
    """Let a change of a file, and all later ones, fail as on a full disk."""
    ended = run(trial.folder, trial.scenario, trial.scenario.words, "full", trial.change())
    return _told(ended) or trial.same(go_on(trial.scenario, trial.folder))


def permission_lost(trial: Trial) -> str:
    """Take the permission to write from the folder of results in the middle of a run."""
    ended = run(trial.folder, trial.scenario, trial.scenario.words, "closed", trial.change())
    for folder, _, _ in os.walk(trial.folder / OUT):
        Path(folder).chmod(0o755)
    return _told(ended, may_end=True) or trial.same(go_on(trial.scenario, trial.folder))


def read_only(trial: Trial) -> str:
    """Start in a folder that cannot be written to."""
    (trial.folder / OUT).mkdir()
    (trial.folder / OUT).chmod(0o555)
    ended = run(trial.folder, trial.scenario, trial.scenario.words, "closed", 10**9)
    (trial.folder / OUT).chmod(0o755)
    return _told(ended)


def clock_jumps(trial: Trial) -> str:
    """Let the clock jump from a change on, kill, give all results odd dates, and go on."""
    run(trial.folder, trial.scenario, trial.scenario.words, "clock", trial.change())
    shutil.rmtree(trial.folder / OUT)
    run(trial.folder, trial.scenario, trial.scenario.words, "kill", trial.change())
    for path in (trial.folder / OUT).rglob("*"):
        moment = trial.chance.choice((0, 1, 4_000_000_000))
        os.utime(path, (moment, moment))
    return trial.same(go_on(trial.scenario, trial.folder))


def two_at_once(trial: Trial) -> str:
    """Start the command twice in one folder."""
    first = start(trial.folder, trial.scenario, trial.scenario.words)
    time.sleep(trial.chance.uniform(0, 1) * trial.whole.ended.seconds)
    other = trial.folder.with_name("other")
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    for path in trial.folder.iterdir():
        (other / path.name).symlink_to(path)
    second = start(other, trial.scenario, trial.scenario.resume)
    ended = [end(first, trial.folder), end(second, other)]
    for one in ended:
        if one.status not in (0, 2, 3) or "Traceback" in one.printed:
            return f"exit status {one.status}: {_end_of(one)}"
    return trial.same(go_on(trial.scenario, trial.folder))


def _told(ended: Ended, *, may_end: bool = False) -> str:
    """Return what is wrong with how a fault was told; `may_end` where it may have come too late."""
    if "Traceback" in ended.printed:
        return f"a traceback: {_end_of(ended)}"
    if ended.status == 2 or (may_end and ended.status in (0, 3)):
        return ""
    return f"exit status {ended.status}: {_end_of(ended)}"


def _end_of(ended: Ended) -> str:
    return " / ".join(ended.printed.strip().splitlines()[-2:])[-240:]


def mount(folder: Path, size: int) -> bool:
    """Mount a small disk in memory, where that is allowed."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        return not subprocess.run(words, capture_output=True, check=False).returncode
    except OSError:
        return False


KILLS: dict[str, Callable[[Trial], str]] = {
    "killed at a change of a file": killed_at_a_change,
    "killed at any time": killed_at_any_time,
}
DISKS: dict[str, Callable[[Trial], str]] = {
    "disk full": disk_full,
    "disk full at a change of a file": disk_full_at_a_change,
    "permission lost": permission_lost,
    "folder read-only": read_only,
    "clock jumps, odd dates": clock_jumps,
    "two processes in one folder": two_at_once,
}


def disturb(
    faults: dict[str, Callable[[Trial], str]],
    seed: int,
    minutes: float,
    *,
    trials: int = 10**6,
) -> dict[str, Any]:
    """Disturb every scenario in turn, for some minutes; what came of it, for the page."""
    import_everything()
    end_of_it, tried, held, finds = time.monotonic() + 60 * minutes, Counter(), Counter(), []
    ray = importlib.util.find_spec("ray") is not None
    scenarios = [one for one in SCENARIOS if ray or not one.ray]
    with tempfile.TemporaryDirectory("", "campaign-", None, True) as folder:
        wholes: dict[str, Undisturbed] = {}
        for number in range(trials):
            if time.monotonic() > end_of_it:
                break
            chance = random.Random(f"{seed}/{number}")
            # Every scenario in turn, and each with every fault in turn.
            rounds, which = divmod(number, len(scenarios))
            scenario, fault = scenarios[which], list(faults)[(rounds + which) % len(faults)]
            if scenario.name not in wholes:
                wholes[scenario.name] = Undisturbed(scenario, Path(folder, f"{len(wholes)}"))
            wrong = faults[fault](Trial(wholes[scenario.name], Path(folder, "trial"), chance))
            tried[fault, scenario.name] += 1
            held[fault, scenario.name] += not wrong
            if wrong:
                print(f"  {number} {scenario.name}, {fault}: {wrong}", flush=True)
                finds.append({"index": number, "fault": fault, "scenario": scenario.name,
                              "told": wrong})  # fmt: skip
    rows = [
        {"fault": f"{fault}: {name}", "tried": count, "held": held[fault, name]}
        for (fault, name), count in sorted(tried.items())
    ]
    left_out = [one.name for one in SCENARIOS if one not in scenarios]
    return {"seed": seed, "minutes": minutes, "rows": rows, "finds": finds, "left_out": left_out}


if __name__ == "__main__":  # a single trial, to look at: SEED NUMBER
    print(disturb({**KILLS, **DISKS}, int(sys.argv[1]), 10, trials=int(sys.argv[2])))
