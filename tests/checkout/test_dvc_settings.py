"""DVC's settings are those that DVC itself goes by, whichever of its files they stand in."""

from pathlib import Path

import pytest

from resnet.checkout import dvc_settings


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that DVC knows, and a home and a system without settings of DVC."""
    for name in ("global", "system"):
        monkeypatch.setenv(f"DVC_{name.upper()}_CONFIG_DIR", str(tmp_path / name))
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "checkout" / ".dvc").mkdir(parents=True)
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    ("file", "named", "place"),
    [
        (None, None, "checkout/.dvc/cache"),
        ("checkout/.dvc/config", "../shared%20", "checkout/shared%20"),
        ("checkout/.dvc/config.local", '"~/our, cache"', "home/our, cache"),
        ("global/config", "~/team", "home/team"),
        ("system/config", "team", "system/team"),
    ],
)
def test_the_cache_is_where_dvc_puts_it(
    checkout: Path, tmp_path: Path, file: str | None, named: str, place: str
) -> None:
    if file:
        (tmp_path / file).write_text(f"[cache]\n    dir = {named}\n")
    assert dvc_settings.cache_folder(checkout) == tmp_path / place
    assert dvc_settings.shares_cache(checkout) == (file is not None)


def test_the_settings_of_another_folder_say_the_same_there(checkout: Path, tmp_path: Path) -> None:
    (checkout / ".dvc" / "config").write_text(
        "[core]\n    remote = my.server\n"
        "['remote \"my.server\"']\n    url = ../near\n    password = 'a#b \"c\" %20'\n"
        "['remote \"far\"']\n    url = s3://bucket/x\n"
        "['remote \"login\"']\n    url = ssh://ann@host/data\n"
        "    password = https://ann:word@host/?key=value\n"
        "[cache]\n    type = hardlink, copy\n"
    )
    (checkout / ".dvc" / "config.local").write_text("['remote \"far\"']\n    url = ~/far\n")
    read = dvc_settings.read(checkout)
    assert read["core"] == {"remote": "my.server"}
    near = {"url": str(checkout / "near"), "password": 'a#b "c" %20'}
    assert read["'remote \"my.server\"'"] == near
    assert read["'remote \"far\"'"] == {"url": str(tmp_path / "home" / "far")}
    login = {"url": "ssh://ann@host/data", "password": "https://ann:word@host/?key=value"}
    assert read["'remote \"login\"'"] == login
    (tmp_path / "tree").mkdir()
    dvc_settings.write(tmp_path / "tree", read)
    assert dvc_settings.read(tmp_path / "tree") == read


def test_a_cache_that_is_a_link_to_another_place_is_shared(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (checkout / ".dvc" / "cache").symlink_to(tmp_path / "team")
    assert dvc_settings.cache_folder(checkout) == tmp_path / "team"
    assert dvc_settings.shares_cache(checkout)
