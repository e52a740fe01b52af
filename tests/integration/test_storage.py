"""The store against a real S3 (SeaweedFS)."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from botocore.exceptions import ParamValidationError

from shared.errors import ObjectMissing, StorageUnavailable
from shared.settings import Settings
from shared.storage import ByteRange, Store, thumbnail_key

MIB = 2**20


def test_the_bucket_may_be_made_again(store: Store) -> None:
    store.ensure_bucket()
    store.ensure_bucket()


def test_the_probe_writes_reads_and_deletes(store: Store) -> None:
    store.check()


def test_a_small_file_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")

    stored = store.put_file("t/a.png", tmp_path / "a.png", "image/png", {"job": "job_1", "model": "sora-2"})
    store.download("t/a.png", tmp_path / "b.png")

    assert (stored.size_bytes, stored.content_type) == (7, "image/png")
    assert stored.metadata == {"job": "job_1", "model": "sora-2"}
    assert (tmp_path / "b.png").read_bytes() == b"picture"


def test_a_large_file_goes_up_in_parts(store: Store, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(20 * MIB + 5)
    (tmp_path / "a.mp4").write_bytes(content)

    stored = store.put_file("t/a.mp4", tmp_path / "a.mp4", "video/mp4", {"job": "job_1"})
    downloaded = store.download("t/a.mp4", tmp_path / "b.mp4")

    assert stored == downloaded
    assert (stored.content_type, stored.metadata) == ("video/mp4", {"job": "job_1"})
    assert stored.etag.endswith('-3"')
    assert (tmp_path / "b.mp4").read_bytes() == content


@pytest.mark.parametrize("size_bytes", [0, 8 * MIB, 8 * MIB + 1])
def test_the_sizes_at_the_borders(store: Store, tmp_path: Path, size_bytes: int) -> None:
    (tmp_path / "a").write_bytes(bytes(size_bytes))

    assert store.put_file("t/border", tmp_path / "a", "video/mp4").size_bytes == size_bytes


def test_storing_twice_is_storing_once(store: Store) -> None:
    store.put_bytes("t/twice", b"same", "image/png")
    store.put_bytes("t/twice", b"same", "image/png")

    with store.open("t/twice") as opened:
        assert b"".join(opened) == b"same"


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (None, b"0123456789"),
        (ByteRange(0), b"0123456789"),
        (ByteRange(2, 4), b"234"),
        (ByteRange(9), b"9"),
        (ByteRange(5, 99), b"56789"),
    ],
)
def test_a_range_of_an_object_is_read(store: Store, part: ByteRange | None, content: bytes) -> None:
    store.put_bytes("t/range", b"0123456789", "audio/wav")

    opened = store.open("t/range", part)

    assert (opened.stored.size_bytes, opened.stored.content_type) == (10, "audio/wav")
    assert opened.length_bytes == len(content)
    assert b"".join(opened) == content


def test_an_object_that_is_not_there_is_missing(store: Store, tmp_path: Path) -> None:
    for look in (store.head, store.open, lambda key: store.download(key, tmp_path / "a")):
        with pytest.raises(ObjectMissing, match="t/nothing"):
            look("t/nothing")
    assert not (tmp_path / "a").exists()


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: Store) -> None:
    store.put_bytes("t/gone", b"x", "image/png")

    store.delete("t/gone")
    store.delete("t/gone")

    with pytest.raises(ObjectMissing):
        store.head("t/gone")


def test_a_presigned_link_serves_what_we_say_and_ranges(store: Store) -> None:
    store.put_bytes("t/page", b"<script>", "text/html")
    store.put_bytes("t/film", b"0123456789", "video/mp4")

    page = httpx.get(store.presign("t/page", "ü.html", "text/html", expires_s=60))
    film = httpx.get(store.presign("t/film", "boat.mp4", "video/mp4", expires_s=60), headers={"Range": "bytes=2-4"})

    assert (page.status_code, page.content) == (200, b"<script>")
    assert page.headers["Content-Type"] == "application/octet-stream"
    assert page.headers["Content-Disposition"] == "attachment; filename=\"_.html\"; filename*=UTF-8''%C3%BC.html"
    assert (film.status_code, film.content) == (206, b"234")
    assert film.headers["Content-Type"] == "video/mp4"
    assert film.headers["Content-Disposition"] == 'inline; filename="boat.mp4"'


def test_a_link_opens_one_object_and_nothing_without_its_signature(store: Store) -> None:
    store.put_bytes("t/one", b"1", "image/png")
    store.put_bytes("t/two", b"2", "image/png")
    link = store.presign("t/one", "a.png", "image/png", expires_s=60)

    assert httpx.get(link.replace("t/one", "t/two")).status_code == 403
    assert httpx.get(link.partition("?")[0]).status_code == 403
    assert httpx.put(link, content=b"x").status_code == 403


def test_links_name_the_address_at_which_users_reach_s3(settings: Settings) -> None:
    public = settings.model_copy(update={"s3_public_endpoint_url": "https://media.example.com"})
    store = Store.from_settings(public)

    link = store.presign("projects/p/a.png", "a.png", "image/png", expires_s=60)

    assert link.startswith(f"https://media.example.com/{settings.s3_bucket}/projects/p/a.png?")
    assert "X-Amz-Expires=60" in link
    store.close()


def test_a_wrong_key_is_trouble_of_the_storage(store: Store, settings: Settings) -> None:
    wrong = Store.from_settings(settings.model_copy(update={"s3_access_key_id": "nobody"}))

    for act in (wrong.check, wrong.ensure_bucket, lambda: wrong.put_bytes("t/x", b"x", "image/png")):
        with pytest.raises(StorageUnavailable) as trouble:
            act()
        assert "a-secret-of-tests" not in str(trouble.value)
    wrong.close()


def test_a_storage_that_is_down_says_so_and_does_not_take_long(settings: Settings, tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    down = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": nowhere}))
    (tmp_path / "a").write_bytes(bytes(9 * MIB))
    started = time.monotonic()

    with pytest.raises(StorageUnavailable, match="EndpointConnectionError"):
        down.check()
    assert time.monotonic() - started < 2
    with pytest.raises(StorageUnavailable):
        down.put_file("t/a", tmp_path / "a", "video/mp4")
    down.close()


def test_a_storage_that_breaks_off_leaves_no_half_file(settings: Settings, tmp_path: Path) -> None:
    with cutting_server() as url:
        cutting = Store.from_settings(settings.model_copy(update={"s3_endpoint_url": url}))
        with pytest.raises(StorageUnavailable):
            cutting.download("t/a", tmp_path / "a")
        cutting.close()

    assert not (tmp_path / "a").exists()


def test_a_call_that_is_wrong_in_itself_is_no_trouble_of_the_storage(store: Store) -> None:
    with pytest.raises(ParamValidationError):
        store.put_bytes("t/x", b"x", "image/png", {"model": "ü"})


def test_a_thumbnail_may_stand_beside_its_picture(store: Store) -> None:
    key = thumbnail_key("t/beside.png")

    assert store.put_bytes(key, b"small", "image/jpeg").size_bytes == 5


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports


@contextmanager
def cutting_server() -> Iterator[str]:
    """Answers one request with less than it announces."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 1000\r\n\r\nshort')

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()
