"""The engine's folder, its state, and who holds a lease."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sparkllm.backend import lease
from sparkllm.backend.cores import usable_cores
from sparkllm.backend.engine import EngineSpec
from sparkllm.backend.folder import EngineFolder, root_for
from sparkllm.backend.processes import ProcessRef, end_group, group_members
from sparkllm.backend.state import FAILURE_KEPT_SECONDS, EngineState
from sparkllm.backend.sweep import sweep
from sparkllm.config import LLMConfig
from sparkllm.errors import EngineStartError

ME = ProcessRef.of(os.getpid())
GONE = ProcessRef(ME.pid, ME.started - 1000, ME.boot)


@pytest.fixture
def folder(tmp_path: Path) -> EngineFolder:
    return EngineFolder.of(tmp_path / "rt", EngineSpec.of(LLMConfig(), None, "app"))


def test_the_folder_and_its_files_are_its_owners_alone(folder: EngineFolder) -> None:
    folder.write_state(EngineState())
    assert folder.path.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.path.iterdir())


def test_a_folder_that_others_may_enter_is_refused(folder: EngineFolder) -> None:
    folder.path.chmod(0o755)
    with pytest.raises(EngineStartError, match="mode 0700, found"):
        EngineFolder.of(folder.path.parent, folder.spec)


def test_a_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    spec = EngineSpec.of(LLMConfig(), None, "app")
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / spec.key).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineStartError, match="0700"):
        EngineFolder.of(tmp_path, spec)


def test_a_path_too_long_for_a_socket_gets_a_shorter_one() -> None:
    long = root_for("/tmp/" + "x" * 90)
    assert len(str(long)) < 50
    assert long != root_for("/tmp/" + "y" * 90)
    assert root_for("/tmp/short") == Path("/tmp/short")


def test_a_state_says_what_to_do_next() -> None:
    starting = EngineState().to("starting", watchdog=ME)
    assert starting.running
    assert not starting.serving
    assert starting.to("ready", server=ME).serving
    assert not starting.to("ready", server=GONE).serving
    assert not starting.to("ready", server=ME, watchdog=GONE).serving
    assert starting.to("failed").failed_recently
    old = EngineState("failed", since=time.time() - FAILURE_KEPT_SECONDS - 1)
    assert not old.failed_recently
    assert EngineState.from_json(starting.to_json()) == starting


def test_a_process_id_that_was_given_again_is_not_the_same_process() -> None:
    assert ME.alive
    assert not GONE.alive
    assert not ProcessRef(2**22 + 1, 0.0).alive


def test_a_clock_that_is_set_makes_no_other_process_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import psutil

    boot = psutil.boot_time()
    monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot + 3600)
    assert abs(psutil.Process(ME.pid).create_time() - time.time()) > 600
    assert ME.alive
    assert ProcessRef.of(ME.pid) == ME
    assert not ProcessRef(ME.pid, ME.started, "another start of the machine").alive
    ahead = EngineState("failed", since=time.time() + 3600)
    assert not ahead.failed_recently


def test_only_the_leases_of_living_processes_count(folder: EngineFolder) -> None:
    lease.take(folder.leases, ME)
    lease.take(folder.leases, ME)
    lease.take(folder.leases, GONE)
    assert lease.drop_dead(folder.leases) == [ME]
    assert len(list(folder.leases.iterdir())) == 1


def test_a_plain_script_holds_its_own_lease() -> None:
    assert lease.holder() == ME


def test_the_executor_holds_the_lease_of_a_spark_python_worker() -> None:
    # The daemon, and the worker it forks, as Spark starts them; this test stands for the executor.
    worker = "import sys, time; print(1, flush=True); time.sleep(60)"
    daemon = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {worker!r}, 'pyspark.worker'])"
    process = subprocess.Popen([sys.executable, "-c", daemon, "-m", "pyspark.daemon"], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        import psutil

        (child,) = psutil.Process(process.pid).children()
        assert lease.holder(child.pid) == ME
    finally:
        for part in (child.pid, process.pid):
            os.kill(part, 9)
        process.communicate()


def test_a_worker_whose_executor_has_died_holds_its_own_lease() -> None:
    daemon = "import time; time.sleep(60)"
    executor = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {daemon!r}, "
    executor += "'pyspark.daemon'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); "
    out = subprocess.run([sys.executable, "-c", executor + "print(p.pid)"], capture_output=True, text=True, check=False)
    pid = int(out.stdout)
    try:
        assert lease.holder(pid) == ProcessRef.of(pid)
    finally:
        os.kill(pid, 9)


def test_a_group_ends_with_all_its_members_even_those_that_ignore_sigterm() -> None:
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {stubborn!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()
    leader = ProcessRef.of(process.pid)
    threading.Thread(target=process.wait, daemon=True).start()
    assert len(group_members(leader.pid)) == 2
    end_group(leader, grace=0.3)
    assert group_members(leader.pid) == []
    process.stdout.close()


def test_a_group_whose_id_belongs_to_others_now_is_left_alone() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    real = ProcessRef.of(process.pid)
    end_group(ProcessRef(real.pid, real.started - 100, real.boot), grace=0.0)
    assert real.alive
    process.kill()
    process.wait()


def test_folders_of_engines_that_ended_a_day_ago_are_swept(folder: EngineFolder) -> None:
    folder.write_state(EngineState("ended", since=time.time()))
    sweep(folder.path.parent)
    assert folder.path.exists(), "its log may still be read"
    folder.write_state(EngineState("ended", since=time.time() - 90_000))
    sweep(folder.path.parent)
    assert not folder.path.exists()


def test_a_containers_quota_bounds_the_threads(tmp_path: Path) -> None:
    quota = tmp_path / "cpu.max"
    quota.write_text("50000 100000\n")
    assert usable_cores(quota) == 1
    quota.write_text("max 100000\n")
    assert usable_cores(quota) == len(os.sched_getaffinity(0))
