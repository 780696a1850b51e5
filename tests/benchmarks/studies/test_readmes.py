"""Every study is listed, and says its question and its commands."""

from pathlib import Path

_DRIVERS = {"cuphaser_driver", "skopi_driver"}  # run by other environments


def test_every_study_is_listed_and_names_its_scripts(repository: Path):
    studies = repository / "benchmarks" / "studies"
    table = (studies / "README.md").read_text()
    folders = {path.parent for path in studies.glob("*/__init__.py")} - {studies / "common"}
    assert {line.split("](")[0][3:] for line in table.splitlines() if "](" in line} == {
        folder.name for folder in folders
    }
    for folder in folders:
        said = (folder / "README.md").read_text()
        assert "**Question.**" in said, folder
        assert "**What came out.**" in said, folder
        scripts = {path.stem for path in folder.glob("*.py") if "__main__" in path.read_text()}
        assert not [name for name in scripts - _DRIVERS if name not in said], folder
