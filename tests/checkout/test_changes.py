"""What is stored of uncommitted changes: code in a patch, secrets and large files by name alone."""

import hashlib
from pathlib import Path

import pytest

from resnet.checkout import changes, provenance, worktree
from tests.support import git

PRIVATE = "password: hunter2\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a commit: code, and a large file and a secret that somebody committed."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "resnet").mkdir()
    (tmp_path / "resnet" / "code.py").write_text("x = 1\n")
    (tmp_path / "params.yaml").write_text("train: {epochs: 1}\n")
    (tmp_path / "server.pem").write_text("committed\n")
    (tmp_path / "large.bin").write_bytes(bytes(changes.MAX_BYTES + 1))
    (tmp_path / ".gitignore").write_text("/.state/\nignored\n/.dvc/config.local\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "First")
    return tmp_path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        ".env.local",
        "resnet/.env",
        "resnet/id_rsa",
        "resnet/Server.KEY",
        "resnet/.aws/config",
        "resnet/credentials.json",
        "a [b]*.pem",
        "notes.txt",
        "line\nbreak.txt",
    ],
)
def test_a_new_file_that_is_a_secret_or_no_code_is_recorded_by_name_and_hash_alone(
    checkout: Path, name: str
) -> None:
    path = checkout / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(PRIVATE)
    code = provenance.code(checkout)
    assert code.dirty
    assert "hunter2" not in code.patch
    (note,), patch = changes.split(code.patch)
    assert patch == ""
    assert note.startswith(f"{sha256(path)} ")
    assert path.name.split("\n")[0] in note


def test_a_large_file_is_not_in_the_patch_even_among_code(checkout: Path) -> None:
    (checkout / "resnet" / "new.bin").write_bytes(bytes(changes.MAX_BYTES + 1))
    (checkout / "data.zip").write_bytes(bytes(changes.MAX_BYTES + 1))
    (checkout / "resnet" / "new.py").write_text("y = 1\n")
    recorded = provenance.code(checkout).patch
    assert len(recorded) < 1000
    notes, patch = changes.split(recorded)
    assert len(notes) == 2
    assert "1,000,001 bytes are more than 1,000,000" in "".join(notes)
    assert "+y = 1" in patch


@pytest.mark.parametrize("change", ["edited", "deleted", "staged"])
def test_a_change_of_a_tracked_secret_or_large_file_is_named_too(
    checkout: Path, change: str
) -> None:
    for name in ("server.pem", "large.bin"):
        if change == "deleted":
            (checkout / name).unlink()
        else:
            (checkout / name).write_text(PRIVATE)
    if change == "staged":
        git(checkout, "add", ".")
    notes, patch = changes.split(provenance.code(checkout).patch)
    assert patch == ""
    digest = "deleted" if change == "deleted" else sha256(checkout / "server.pem")
    assert sorted(notes) == [
        f'{digest} "large.bin": 1,000,001 bytes are more than 1,000,000',
        f'{digest} "server.pem": its name is that of a secret',
    ]


def test_the_recorded_patch_applies_below_its_notes(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".env").write_text(PRIVATE)
    (checkout / "resnet" / "code.py").write_text("x = 2\n")
    code = provenance.code(checkout)
    (tmp_path / "changes.patch").write_text(code.patch)
    git(checkout, "stash", "--quiet")
    git(checkout, "apply", "changes.patch")
    assert (checkout / "resnet" / "code.py").read_text() == "x = 2\n"


def test_a_run_in_a_tree_sees_the_code_and_what_dvc_reads_and_no_secret(
    checkout: Path, caplog: pytest.LogCaptureFixture
) -> None:
    new = {"resnet/new.py": "y = 1\n", "data/extra/night.dvc": "outs: []\n"}
    for name, text in (new | {".env": PRIVATE, "resnet/.env": PRIVATE, "notes.txt": "n"}).items():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text(text)
    (checkout / "large.bin").write_text("another one, which code may read\n")
    (checkout / ".dvc").mkdir()
    with worktree.worktree(checkout, "a", {}) as tree:
        assert {name: (tree / name).read_text() for name in new} == new
        assert (tree / "large.bin").read_text().startswith("another one")
        assert not any((tree / name).exists() for name in (".env", "resnet/.env", "notes.txt"))
    assert "resnet/.env is not in the tree of this run (its name is that of a secret)" in (
        caplog.text
    )
    assert "notes.txt" not in caplog.text
