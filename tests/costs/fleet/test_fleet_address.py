"""Where the address of a shared database may be, and that it is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.costs.fleet.address import AddressRefused, read_address
from shared.costs.profile.types import SharedBudget

URL = "postgresql://ana:s3cret@{host}/costs"


def read(host: str, more: str = "", **environ: str) -> dict[str, object]:
    environ = {"COSTS": URL.format(host=host) + more} | environ
    return dict(read_address(SharedBudget("env:COSTS"), environ).parameters)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]", "%2Ftmp", ""])
def test_a_connection_that_stays_here_needs_no_tls(host: str) -> None:
    assert "sslmode" not in read(host)


AWAY = ["db.example.org", "10.0.0.7", "localhost,db.example.org", "127.0.0.1.example"]


@pytest.mark.parametrize("host", AWAY)
def test_a_connection_that_leaves_this_machine_is_made_with_tls(host: str) -> None:
    assert read(host)["sslmode"] == "require"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer"])
def test_one_without_tls_is_refused(mode: str) -> None:
    with pytest.raises(AddressRefused, match=f"sslmode={mode}: use sslmode=verify-full"):
        read("db.example.org", f"?sslmode={mode}")


def test_what_is_stricter_stays() -> None:
    assert read("db.example.org", "?sslmode=verify-full")["sslmode"] == "verify-full"


def test_a_host_that_the_environment_names_counts_too() -> None:
    assert read("", PGHOST="db.example.org")["sslmode"] == "require"
    assert read("", PGSERVICE="costs")["sslmode"] == "require"
    assert "sslmode" not in read("", PGHOST="/run/postgresql")


def test_a_file_must_be_ours_alone(tmp_path: Path) -> None:
    place = tmp_path / "shared.url"
    place.write_text(URL.format(host="localhost") + "\n")
    place.chmod(0o640)
    with pytest.raises(AddressRefused, match=r"is open to others \(640\): chmod 600"):
        read_address(SharedBudget("file:shared.url"), {}, tmp_path)
    place.chmod(0o600)
    assert read_address(SharedBudget("file:shared.url"), {}, tmp_path).parameters["user"] == "ana"
    place.write_text("")
    with pytest.raises(AddressRefused, match="is to hold the address"):
        read_address(SharedBudget("file:shared.url"), {}, tmp_path)
    with pytest.raises(AddressRefused, match="cannot be read from"):
        read_address(SharedBudget("file:no.such"), {}, tmp_path)


@pytest.mark.parametrize("text", ["", "not an address s3cret", "mysql://ana:s3cret@db/costs"])
def test_a_message_never_has_the_address(text: str) -> None:
    with pytest.raises(AddressRefused) as refused:
        read_address(SharedBudget("env:COSTS"), {"COSTS": text})
    assert "COSTS" in str(refused.value)
    assert "s3cret" not in str(refused.value)
