"""The page of a run: finished, of the old kind, just begun; well-formed, and one file."""

import re
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest

from xrai import panels
from xrai.state import checkpoint
from xraisim.core.errors import FormatError
from xraisim.files.volumes import write_volume
from xraisim.report import page as pages
from xraisim.report.run import Run

VOID = {"meta", "link", "img", "br", "input", "hr"}


class Checker(HTMLParser):
    """Collects addresses, ids and titles, and fails at an element that is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.ids: list[str] = []
        self.titles: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, f"not closed: {self.open}"
        assert len(set(self.ids)) == len(self.ids), "an id twice"

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data") and v]
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)


def check(page: str) -> Checker:
    """Return what the page holds, and fail if it is not well-formed or not one file."""
    found = Checker(page)
    assert all(address.startswith(("data:", "#")) for address in found.addresses)
    outside = set(re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"'<]*", page))
    assert outside <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert "@import" not in page
    return found


def read_run(directory, density=None, patterns=None) -> Run:
    return pages.read(directory, panels.METHODS, density, patterns)


def page_of(run: Run) -> str:
    return pages.page_of(run, panels.METHODS)


def head(run: Run) -> dict[str, str]:
    return pages.head(run, panels.METHODS)


def panels_of(run: Run) -> tuple[list[str], list[str]]:
    """Return the titles of the sections, and what is missing."""
    shown = [panel(run) for panel in panels.METHODS["xrai"].panels]
    told = [one for one in shown if one is not None]
    missing = [one for one in told if isinstance(one, str)]
    return [one.title for one in told if not isinstance(one, str)], missing


def test_a_finished_run_shows_everything(finished_page):
    page = finished_page
    assert check(page).titles == [
        "Warnings", "Surfaces", "Progress", "Agreement of half-sets", "Intensity by resolution",
        "Intensity", "Density", "Patterns in numbers", "View directions", "Distances between poses",
        "Worst and best patterns", "Time", "Random starts", "Figures", "Configuration",
    ]  # fmt: skip
    assert "Not shown" not in page
    assert "half-sets &lt;disagree&gt; beyond 30 Å (3 times)" in page
    assert "&lt;cpu&gt; &amp; &lt;/script&gt;" in page, "what a file says is text, not markup"
    for label in ("weight (0: outlier)", "misfit (σ)", "encoder to pose (degrees)", "online"):
        assert label in page


def test_the_head_line(rounds_run):
    assert (head(read_run(rounds_run))) == {
        "patterns": "300",
        "taken in, repeats counted": "2,400",
        "resolution, icc_half_0.143": "35.0 Å",
        "log-likelihood per pattern": "-540.0",
        "outliers": "2.0%",
        "time": "90 s",
        "patterns per second": "2,100",
        "peak memory": "1.25 GiB",
        "hardware": "cpu",
    }


def test_a_run_of_the_old_kind(old_run):
    run = read_run(old_run)
    page = page_of(run)
    assert "Agreement of half-sets" not in check(page).titles
    for missing in ("the agreement of half-sets", "--density", "--patterns"):
        assert missing in page
    assert "encoder to pose" not in page, "the encoder has said nothing yet"
    assert panels.patterns_taken(panels.rounds_of(run)).tolist() == [300, 600, 900, 1200]
    shown = head(run)
    assert shown["resolution, edge of the data used, unmeasured"] == "37.0 Å"


def test_a_run_that_has_begun(begun_run):
    run = read_run(begun_run)
    page = page_of(run)
    assert check(page).titles == ["Random starts", "Configuration"]
    assert "told of “start”" in page
    for missing in ("progress, which", "the intensity, which", "poses, which"):
        assert missing in page
    (begun_run / "metrics.jsonl").unlink()
    run = read_run(begun_run)
    assert "has told nothing yet" in pages.status(run)
    assert check(page_of(run)).titles == ["Configuration"]


def test_a_run_that_goes_on_is_read_from_its_checkpoint(begun_run, lumps):
    state = checkpoint.State(
        patterns=str(lumps.patterns), extent={"s_max_per_angstrom": lumps.s_max_per_angstrom}
    )
    state.grow(120)
    state.seen, state.volume, state.volumes = 100, lumps.volume, [lumps.volume] * 2
    state.columns["orientations"][:100] = lumps.poses[:100]
    state.columns["loglik"][:90] = -600.0
    checkpoint.save(state, begun_run)
    run = read_run(begun_run)
    assert len(run.poses["fluence"]) == 100
    assert run.patterns == lumps.patterns
    titles, missing = panels_of(run)
    for title in ("Intensity", "Agreement of half-sets", "View directions"):
        assert title in titles
    assert "Worst and best patterns" in titles
    assert len(missing) == 2, "progress, and a density"


def test_resolution_from_the_half_volumes_where_rounds_tell_none(rounds_run):
    (rounds_run / "metrics.jsonl").unlink()
    run = read_run(rounds_run)
    assert "resolution, icc_half_0.143" in (head(run))
    assert "Agreement of half-sets" in panels_of(run)[0]


def test_patterns_that_were_never_seen_have_no_pose(rounds_run):
    with h5py.File(rounds_run / "poses.h5", "r+") as file:
        file["orientations"][10:] = np.nan
    run = read_run(rounds_run)
    known = np.isfinite(run.poses["orientations"]).all(1)
    assert known.tolist() == [True] * 10 + [False] * 290
    assert "View directions" in panels_of(run)[0]


def test_what_is_no_run_is_refused(tmp_path, rounds_run, lumps):
    with pytest.raises(FormatError, match=r"none of metrics\.jsonl, config\.toml"):
        read_run(tmp_path)
    write_volume(tmp_path / "intensity.h5", lumps.volume)
    with pytest.raises(FormatError, match="holds an intensity; expected a density"):
        read_run(rounds_run, tmp_path / "intensity.h5")
