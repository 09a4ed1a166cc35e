"""Which control group limits the CPU, and to how much, in file systems made for the test."""

from __future__ import annotations

import pytest

from gopark._runtime.base.cgroup import cpulimit

V2 = "30 23 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
NOISE = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


@pytest.fixture
def system(tmp_path):
    """`system(cgroup, mountinfo, **files)` makes a file system and returns where it begins."""

    def system(cgroup, mountinfo, files=None):
        proc = {"proc/self/cgroup": cgroup, "proc/self/mountinfo": mountinfo}
        for name, text in (proc | (files or {})).items():
            if text is not None:
                file = tmp_path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
        return str(tmp_path)

    return system


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("300000 100000\n", 3.0),
        ("150000 100000\n", 1.5),
        ("5000 10000\n", 0.5),
        ("max 100000\n", None),
        ("", None),
        ("many 100000\n", None),
        ("1 0\n", None),
    ],
)
def test_the_limit_of_version_2(system, text, limit):
    root = system("0::/\n", NOISE + V2, {"sys/fs/cgroup/cpu.max": text})
    assert cpulimit(root) == limit


@pytest.mark.parametrize(
    ("quota", "period", "limit"),
    [("350000\n", "100000\n", 3.5), ("-1\n", "100000\n", None), ("350000\n", None, None)],
)
def test_the_limit_of_version_1(system, quota, period, limit):
    files = {
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": quota,
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": period,
    }
    assert cpulimit(system("3:cpu,cpuacct:/\n0::/\n", NOISE + V2 + V1, files)) == limit


def test_the_group_of_the_process_counts_and_not_the_one_around_it(system):
    files = {
        "sys/fs/cgroup/cpu.max": "900000 100000",
        "sys/fs/cgroup/user.slice/me/cpu.max": "400000 100000",
    }
    assert cpulimit(system("0::/user.slice/me\n", V2, files)) == 4.0


def test_a_mount_shows_a_part_of_the_tree(system):
    """As in a container that has the group of its host."""
    mount = "30 23 0:27 /docker/1f /sys/fs/cgroup ro - cgroup2 cgroup rw\n"
    files = {"sys/fs/cgroup/inner/cpu.max": "200000 100000"}
    assert cpulimit(system("0::/docker/1f/inner\n", mount, files)) == 2.0


def test_a_mount_elsewhere_with_a_space_in_its_name(system):
    mount = "30 23 0:27 / /control\\040groups rw - cgroup2 cgroup rw\n"
    files = {"control groups/a/cpu.max": "700000 100000"}
    assert cpulimit(system("0::/a\n", mount, files)) == 7.0


@pytest.mark.parametrize(
    ("cgroup", "mountinfo"),
    [
        (None, V2),
        ("0::/\n", None),
        ("0::/\n", NOISE),
        ("0::/\n", V1),
        ("0::/other\n", "30 23 0:27 /mine /sys/fs/cgroup rw - cgroup2 cgroup rw\n"),
        ("0::/minebutlonger\n", "30 23 0:27 /mine /sys/fs/cgroup rw - cgroup2 cgroup rw\n"),
        ("5:memory:/\n", V2),
        ("nonsense", V2),
        ("", ""),
    ],
)
def test_where_there_is_no_group_there_is_no_limit(system, cgroup, mountinfo):
    root = system(cgroup, mountinfo, {"sys/fs/cgroup/cpu.max": "300000 100000"})
    assert cpulimit(root) is None


def test_the_limit_is_read_each_time(system, tmp_path):
    root = system("0::/\n", V2, {"sys/fs/cgroup/cpu.max": "300000 100000"})
    assert cpulimit(root) == 3.0
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("max 100000")
    assert cpulimit(root) is None
    (tmp_path / "sys/fs/cgroup/cpu.max").unlink()
    assert cpulimit(root) is None


def test_this_system_has_a_limit_or_none():
    limit = cpulimit()
    assert limit is None or limit > 0
