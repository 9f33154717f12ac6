"""Whether two processes run on one host."""

from __future__ import annotations

from pathlib import Path

from vagus.transport.host import host_id


def test_one_boot_has_one_id_that_does_not_contain_the_boot_id(tmp_path: Path) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("0f3a-11\n")
    assert host_id(boot) == host_id(boot)
    assert len(host_id(boot)) == 16
    assert "0f3a" not in host_id(boot)


def test_another_boot_has_another_id(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    assert host_id(tmp_path / "a") != host_id(tmp_path / "b")


def test_a_host_that_cannot_tell_has_no_id(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    assert host_id(tmp_path / "missing") == ""
    assert host_id(tmp_path / "empty") == ""
