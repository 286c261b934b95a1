import gzip
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from resnet import params
from resnet.data import datasets, fetch, sources
from resnet.data.datasets import Dataset
from resnet.errors import PipelineError
from tests.support import REPOSITORY

Repack = Callable[..., Path]
DOWNLOADS = Path("downloads")


@pytest.fixture
def bring(checkout: params.Params, published: Dataset) -> Callable[[], None]:
    """Fetches the synthetic data set as if it were published."""
    return lambda: fetch.fetch(published, checkout.paths, checkout.runtime, DOWNLOADS)


@pytest.fixture
def name(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Sets CIFAR10_ARCHIVE."""
    return lambda path: monkeypatch.setenv("CIFAR10_ARCHIVE", str(path))


@pytest.fixture
def repack(generated: Path, tmp_path: Path) -> Repack:
    """Makes an archive of the files named, and of further members before them."""

    def repack(*members: tarfile.TarInfo, leave_out: str = "", folder: str = "") -> Path:
        path = tmp_path / "repacked.tar.gz"
        with tarfile.open(path, "w:gz", compresslevel=0) as tar:
            for member in members:
                tar.addfile(member, io.BytesIO(bytes(member.size)))
            for file in sorted(generated.iterdir()):
                if file.name != leave_out:
                    tar.add(file, f"{folder or 'cifar-10-batches-py'}/{file.name}")
        return path

    return repack


@pytest.fixture
def fails(
    bring: Callable[[], None],
    name: Callable[[Path], None],
    generated: Path,
    checkout: params.Params,
    left_behind: Callable[[], list[str]],
    published: Dataset,
) -> Callable[[Path, str], None]:
    """Claims that a source is refused with one clear error, leaves nothing, and heals."""

    def fails(source: Path, match: str) -> None:
        name(source)
        with pytest.raises(PipelineError, match=match) as error:
            bring()
        assert str(source) in str(error.value)
        assert left_behind() == ["data"]
        name(generated)
        bring()
        assert published.holds(checkout.paths.raw)

    return fails


def member(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


def test_an_archive_gives_the_seven_files_and_no_other(
    bring: Callable[[], None],
    name: Callable[[Path], None],
    repack: Repack,
    checkout: params.Params,
    published: Dataset,
) -> None:
    name(repack(member("cifar-10-batches-py/readme.html", size=88)))
    bring()
    assert {path.name for path in checkout.paths.raw.iterdir()} == set(published.files)
    assert [path.name for path in checkout.paths.raw.parent.iterdir()] == [checkout.paths.raw.name]


@pytest.mark.parametrize("named", ["the folder itself", "its parent"])
def test_a_folder_may_be_named_or_its_parent(
    named: str,
    generated: Path,
    tmp_path: Path,
    bring: Callable[[], None],
    name: Callable[[Path], None],
    checkout: params.Params,
    published: Dataset,
) -> None:
    folder = shutil.copytree(generated, tmp_path / "given" / "cifar-10-batches-py")
    name(folder if named == "the folder itself" else folder.parent)
    bring()
    assert published.holds(checkout.paths.raw)
    assert published.holds(folder)


def test_files_already_verified_are_not_fetched_again(
    bring: Callable[[], None],
    name: Callable[[Path], None],
    archive: Path,
    checkout: params.Params,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name(archive)
    bring()
    before = [path.stat().st_ino for path in sorted(checkout.paths.raw.iterdir())]
    name(Path("/nowhere"))
    bring()
    assert [path.stat().st_ino for path in sorted(checkout.paths.raw.iterdir())] == before
    assert "holds generated, verified" in capsys.readouterr().out


def test_a_damaged_file_in_place_is_replaced(
    bring: Callable[[], None],
    name: Callable[[Path], None],
    archive: Path,
    checkout: params.Params,
    published: Dataset,
) -> None:
    name(archive)
    bring()
    (checkout.paths.raw / "data_batch_1").write_bytes(b"damaged")
    (checkout.paths.raw / "stray").write_bytes(b"")
    bring()
    assert {path.name for path in checkout.paths.raw.iterdir()} == set(published.files)
    assert published.holds(checkout.paths.raw)


def test_the_environment_takes_precedence_over_the_parameters(
    archive: Path, checkout: params.Params, published: Dataset, name: Callable[[Path], None]
) -> None:
    paths = checkout.paths.model_copy(update={"archive": archive})
    assert sources.user_source(published, paths) == sources.UserSource(
        archive, "paths.archive in params.yaml"
    )
    name(archive.parent)
    assert sources.user_source(published, paths) == sources.UserSource(
        archive.parent, "CIFAR10_ARCHIVE"
    )
    name(Path())
    assert sources.user_source(published, checkout.paths) is not None


def test_an_empty_variable_names_nothing(
    checkout: params.Params, published: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFAR10_ARCHIVE", "")
    assert sources.user_source(published, checkout.paths) is None


def test_a_data_set_is_unavailable_only_if_the_user_has_named_no_source(
    checkout: params.Params, published: Dataset, name: Callable[[Path], None], generated: Path
) -> None:
    assert sources.why_unavailable(datasets.load("generated"), checkout.paths) is None
    reason = sources.why_unavailable(published, checkout.paths)
    assert "127.0.0.1:9 cannot be reached" in str(reason)
    assert "CIFAR10_ARCHIVE is not set to an archive" in str(reason)
    shutil.copytree(generated, checkout.paths.raw)
    assert sources.why_unavailable(published, checkout.paths) is None
    shutil.rmtree(checkout.paths.raw)
    name(Path("/nowhere"))
    assert sources.why_unavailable(published, checkout.paths) is None


def test_an_archive_that_is_not_there_is_an_error(
    bring: Callable[[], None], name: Callable[[Path], None]
) -> None:
    name(Path("/nowhere/cifar.tar.gz"))
    with pytest.raises(PipelineError, match=r"cifar.tar.gz \(CIFAR10_ARCHIVE\) is not there: want"):
        bring()


def test_a_missing_batch_is_an_error(fails: Callable[[Path, str], None], repack: Repack) -> None:
    fails(repack(leave_out="data_batch_4"), "data_batch_4 is missing; name an intact copy")


def test_a_path_that_leads_out_is_an_error(
    fails: Callable[[Path, str], None], repack: Repack, tmp_path: Path
) -> None:
    fails(repack(member("cifar-10-batches-py/../../../evil", size=5)), "evil' leads out")
    assert not list(tmp_path.rglob("*evil*"))


def test_an_absolute_path_is_an_error(
    fails: Callable[[Path, str], None], repack: Repack, tmp_path: Path
) -> None:
    fails(repack(member(f"{tmp_path}/evil", size=5)), "evil' leads out of the archive")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_is_an_error(
    kind: bytes, fails: Callable[[Path, str], None], repack: Repack
) -> None:
    hostile = member("cifar-10-batches-py/data_batch_1", kind, "/etc/passwd")
    fails(repack(hostile), "data_batch_1' is a link or a device")


def test_files_of_another_folder_are_ignored(
    fails: Callable[[Path, str], None], repack: Repack
) -> None:
    fails(repack(folder="elsewhere"), "batches.meta is missing")


def test_a_member_larger_than_any_published_is_not_written(
    fails: Callable[[Path, str], None], repack: Repack
) -> None:
    bomb = member("cifar-10-batches-py/data_batch_1", size=8_000_000)
    fails(repack(bomb), "data_batch_1 has more than 6194809 bytes")


@pytest.mark.parametrize(
    "kind",
    [
        tarfile.REGTYPE,
        tarfile.GNUTYPE_LONGNAME,  # read into memory, however long it says it is
        tarfile.XHDTYPE,
    ],
)
def test_an_archive_that_unpacks_to_far_too_much_is_stopped(
    kind: bytes, fails: Callable[[Path, str], None], tmp_path: Path
) -> None:
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(member("x", kind, size=7_000_000_000).tobuf(tarfile.GNU_FORMAT))
        for _ in range(80):
            out.write(bytes(1_000_000))
    fails(path, "unpacks to more than 75400886")


def test_a_truncated_archive_is_an_error(
    fails: Callable[[Path, str], None], archive: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:-1_000_000])
    fails(cut, "not a complete .tar.gz .*truncated")


def test_a_flipped_byte_in_an_archive_is_an_error(
    fails: Callable[[Path, str], None], archive: Path, tmp_path: Path
) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    flipped = tmp_path / "flipped.tar.gz"
    flipped.write_bytes(content)
    fails(flipped, "not a complete .tar.gz|sha256 is|is missing")


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>404</html>", gzip.compress(b""), gzip.compress(b"no tar" * 500)],
    ids=["nothing", "a page", "an empty archive", "no archive"],
)
def test_what_is_no_tar_gz_is_an_error(
    content: bytes, fails: Callable[[Path, str], None], tmp_path: Path
) -> None:
    path = tmp_path / "page.tar.gz"
    path.write_bytes(content)
    fails(path, "not a complete .tar.gz")


def test_a_folder_without_batches_is_an_error(
    fails: Callable[[Path, str], None], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    fails(tmp_path / "empty", "is a folder without batches.meta, data_batch_1")


@pytest.mark.parametrize("spoil", ["swapped", "missing", "long", "flipped", "folder"])
def test_a_folder_with_a_wrong_file_is_an_error(
    spoil: str, fails: Callable[[Path, str], None], generated: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(generated, tmp_path / "given")
    batch = folder / "data_batch_2"
    match spoil:
        case "swapped":
            shutil.copy(folder / "data_batch_1", batch)
        case "long":
            batch.write_bytes(batch.read_bytes() + b"more")
        case "flipped":
            batch.write_bytes(batch.read_bytes()[:-1] + b"!")
        case _:
            batch.unlink()
            if spoil == "folder":
                batch.mkdir()
    messages = {
        "swapped": "data_batch_2 has the content of data_batch_1",
        "long": "data_batch_2 has more than 6194809 bytes",
        "flipped": "data_batch_2: sha256 is",
    }
    fails(folder, messages.get(spoil, "data_batch_2 is missing"))


def test_no_network_is_one_clear_error(
    bring: Callable[[], None], left_behind: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)
    with pytest.raises(
        PipelineError, match="127.0.0.1:9.* cannot be downloaded: .*CIFAR10_ARCHIVE"
    ):
        bring()
    assert "data/raw" not in left_behind()


FETCH = """
import resource, sys
from pathlib import Path
from resnet import params
from resnet.data import datasets, fetch
from resnet.errors import PipelineError
loaded = params.load(Path(sys.argv[1]))
if limit := int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    fetch.fetch(datasets.load("generated"), loaded.paths, loaded.runtime, Path("downloads"))
except PipelineError as error:
    sys.exit(str(error))
"""


def test_a_disk_that_takes_no_more_is_one_clear_error(
    checkout: params.Params, left_behind: Callable[[], list[str]]
) -> None:
    root = str(REPOSITORY)
    command = [sys.executable, "-c", FETCH, root]
    ended = subprocess.run([*command, "4000000"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "data/raw was not written, the disk is full" in ended.stderr
    assert left_behind() == ["data"]
    assert subprocess.run([*command, "0"], check=False).returncode == 0


def test_a_full_file_system_is_one_clear_error(checkout: params.Params, tmp_path: Path) -> None:
    mounted = "mount -t tmpfs -o size=10m tmpfs . && cd . && "
    inside = ["unshare", "-rm", "sh", "-c"]
    if subprocess.run([*inside, mounted + "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system lets no user mount a small file system")
    script = mounted + 'cd "$PWD" && "$0" "$@"; code=$?; find . -name "data_batch*"; exit $code'
    root = str(REPOSITORY)
    ended = subprocess.run(
        [*inside, script, sys.executable, "-c", FETCH, root, "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "the disk is full (No space left on device): free some space" in ended.stderr
    assert "data_batch" not in ended.stdout


def test_the_synthetic_data_set_is_painted_whatever_archive_is_named(
    checkout: params.Params, name: Callable[[Path], None]
) -> None:
    name(Path("/nowhere"))
    fetch.fetch(datasets.load("generated"), checkout.paths, checkout.runtime, DOWNLOADS)
    assert datasets.load("generated").holds(checkout.paths.raw)


def test_real_cifar_10_is_fetched_and_verified(
    cifar10: Path, checkout: params.Params, name: Callable[[Path], None]
) -> None:
    name(cifar10)
    fetch.fetch(datasets.load("cifar10"), checkout.paths, checkout.runtime, DOWNLOADS)
    assert datasets.load("cifar10").holds(checkout.paths.raw)
