"""An archive on S3, against moto's server on a loopback port: a real client, a server that speaks S3."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import boto3
import pytest
from archive_support import World, at, call, ids
from moto.server import ThreadedMotoServer

from shared.costs.archive.duck import MissingExtra
from shared.costs.archive.known import KnownArchive
from shared.costs.archive.manifest import ArchiveUnreachable, DamagedArchive, Manifest
from shared.costs.archive.places import Bucket, OtherManifest, StoredManifest
from shared.costs.archive.restoring import restored
from shared.costs.errors import WrongUsage
from shared.costs.exchange.archiving import check_archive
from shared.costs.replacing import CannotWrite

PLACE = "s3://team-costs/ledger"


def silent(_done: int, _all: int) -> None:
    """Show no progress."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Return ledgers whose archive is in an empty bucket."""
    for name, value in {
        "AWS_ENDPOINT_URL_S3": server,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="team-costs")
    world = World(tmp_path.resolve(), location=PLACE)
    yield world
    world.store.close()
    for found in client.list_objects_v2(Bucket="team-costs").get("Contents", ()):
        client.delete_object(Bucket="team-costs", Key=found["Key"])
    client.delete_bucket(Bucket="team-costs")
    client.close()


@pytest.mark.no_cover
def test_an_archive_in_a_bucket_is_as_one_in_a_folder(bucket: World) -> None:
    path = bucket.add("job-1", first := call(at(9)), second := call(at(10)))
    archived = bucket.archive()
    assert bucket.archived_ids() == ids([first, second])
    assert bucket.archive().written == ()
    check = check_archive(bucket.place, silent)
    assert (check.faults, check.surplus, len(check.manifest.parts)) == ((), (), 2)
    [(_, content)] = restored(KnownArchive(bucket.place, archived.manifest), archived.manifest.ledgers)
    assert content == path.read_bytes()
    assert boto3.client("s3").head_object(Bucket="team-costs", Key="ledger/_manifest.json")


def test_of_two_manifests_one_wins(bucket: World) -> None:
    place = bucket.place
    place.commit(Manifest().document(), None)
    with pytest.raises(OtherManifest, match="another host"):
        place.commit(Manifest().document(), None)
    stored = place.manifest()
    assert stored is not None
    place.commit(stored.document + b"\n", stored)
    with pytest.raises(OtherManifest, match="another host"):
        place.commit(stored.document, stored)


def test_a_host_that_was_overtaken_begins_again(bucket: World, tmp_path: Path) -> None:
    other = World(tmp_path.resolve() / "other", location=PLACE)
    bucket.add("job-1", mine := call(at(9)))
    other.add("job-1", theirs := call(at(9)))

    others = [other]

    class Overtaken(Bucket):
        def commit(self, document: bytes, before: StoredManifest | None) -> None:
            if others:
                others.pop().archive()
            super().commit(document, before)

    bucket.archive(place=Overtaken(PLACE, tmp_path / "cache"))
    assert bucket.archived_ids() == ids([mine, theirs])
    check = check_archive(bucket.place, silent)
    assert (check.faults, check.surplus) == ((), ())
    other.store.close()


def test_what_is_missing_or_changed_there_is_found(bucket: World) -> None:
    bucket.add("job-1", call(at(9)), call(at(10)))
    first, second = bucket.archive().written
    client = boto3.client("s3")
    client.put_object(Bucket="team-costs", Key=f"ledger/{first.name}", Body=b"PAR1")
    client.delete_object(Bucket="team-costs", Key=f"ledger/{second.name}")
    check = check_archive(bucket.place, silent)
    assert [fault.name for fault in check.faults] == [first.name, second.name]
    assert "is not there" in check.faults[1].why
    bucket.place.remove(first.name)
    with pytest.raises(DamagedArchive, match="is not there"):
        Bucket(PLACE, bucket.root / "fresh").file(first.name)


def test_a_bucket_that_is_not_there_is_said(bucket: World, tmp_path: Path) -> None:
    place = Bucket("s3://nobody-has-this/x", tmp_path)
    for action in (place.manifest, place.parts):
        with pytest.raises(DamagedArchive, match=r"s3://nobody-has-this/x: .*NoSuchBucket.*AWS_PROFILE"):
            action()
    (tmp_path / "draft").write_bytes(b"")
    with pytest.raises(CannotWrite, match="NoSuchBucket"):
        place.put("month=2026-09/part-0.parquet", tmp_path / "draft")


def test_a_server_that_does_not_answer_is_said(
    bucket: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(DamagedArchive, match="Could not connect"):
        Bucket(PLACE, tmp_path).manifest()


class Refusing(BaseHTTPRequestHandler):
    """A server that has a manifest, and answers all else as one whose keys have ended."""

    document: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        """Answer."""
        is_given = self.document and self.path.endswith("_manifest.json")
        body = self.document if is_given else b"<Error><Code>ExpiredToken</Code></Error>"
        self.send_response(200 if is_given else 400)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object, **__: object) -> None:
        """Say nothing."""


def test_what_a_server_refuses_to_give_is_no_damage(bucket: World, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket.add("job-1", call(at(9)), call(at(10)))
    document = bucket.archive().manifest.document()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{refusing.server_port}")
        away = Bucket(PLACE, bucket.root / "fresh")
        for action in (away.manifest, away.parts, partial(away.digest, "x"), partial(away.file, "x")):
            with pytest.raises(
                ArchiveUnreachable, match=r"s3://team-costs/ledger: .*ExpiredToken.*AWS_PROFILE"
            ):
                action()
        monkeypatch.setattr(Refusing, "document", document)
        with pytest.raises(ArchiveUnreachable, match="ExpiredToken"):
            check_archive(away, silent)
        [fault] = bucket.known.faults()
        assert fault.is_away
        refusing.shutdown()


def test_an_address_needs_a_bucket_and_boto3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WrongUsage, match="names no bucket"):
        Bucket("s3:///x", tmp_path)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra, match="boto3 is needed"):
        Bucket(PLACE, tmp_path)
