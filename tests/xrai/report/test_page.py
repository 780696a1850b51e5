"""The page of a run: finished, of the old kind, just begun; well-formed, and one file."""

import re
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest

from xrai.report.page import head, own_patterns, page_of, status
from xrai.report.run import Run, read_run
from xrai.report.sections import sections_of
from xrai.state import checkpoint
from xraisim.core.errors import FormatError
from xraisim.files.volumes import write_volume

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


def titles_of(run: Run) -> list[str]:
    return [section.title for section in sections_of(run, None)[0]]


def test_a_finished_run_shows_everything(finished_page):
    page = finished_page
    assert check(page).titles == [
        "Warnings", "Surfaces", "Progress", "Agreement of half-sets", "Intensity by resolution",
        "Intensity", "Density", "Patterns in numbers", "View directions", "Distances between poses",
        "Worst and best patterns", "Random starts", "Time", "Figures", "Configuration",
    ]  # fmt: skip
    assert "Not shown" not in page
    assert "half-sets &lt;disagree&gt; beyond 30 Å (3 times)" in page
    assert "&lt;cpu&gt; &amp; &lt;/script&gt;" in page, "what a file says is text, not markup"
    for label in ("weight (0: outlier)", "misfit (σ)", "encoder to pose (degrees)", "online"):
        assert label in page


def test_the_head_line(rounds_run):
    assert dict(head(read_run(rounds_run))) == {
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
    page = page_of(run, None)
    assert "Agreement of half-sets" not in check(page).titles
    for missing in ("the agreement of half-sets", "--density", "--patterns"):
        assert missing in page
    assert "encoder to pose" not in page, "the encoder has said nothing yet"
    assert run.patterns_taken().tolist() == [300, 600, 900, 1200]
    shown = dict(head(run))
    assert shown["resolution, limit of the last round, unmeasured"] == "37.0 Å"


def test_a_run_that_has_begun(begun_run):
    run = read_run(begun_run)
    page = page_of(run, None)
    assert check(page).titles == ["Random starts", "Configuration"]
    assert "told of “start”" in page
    for missing in ("progress, which", "the intensity, which", "poses, which"):
        assert missing in page
    (begun_run / "metrics.jsonl").unlink()
    run = read_run(begun_run)
    assert "has told nothing yet" in status(run)
    assert check(page_of(run, None)).titles == ["Configuration"]


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
    assert own_patterns(run) == lumps.patterns
    sections, missing = sections_of(run, lumps.patterns)
    titles = [section.title for section in sections]
    for title in ("Intensity", "Agreement of half-sets", "View directions"):
        assert title in titles
    assert "Worst and best patterns" in titles
    assert len(missing) == 2, "progress, and a density"


def test_resolution_from_the_half_volumes_where_rounds_tell_none(rounds_run):
    (rounds_run / "metrics.jsonl").unlink()
    run = read_run(rounds_run)
    assert "resolution, icc_half_0.143" in dict(head(run))
    assert "Agreement of half-sets" in titles_of(run)


def test_patterns_that_were_never_seen_have_no_pose(rounds_run):
    with h5py.File(rounds_run / "poses.h5", "r+") as file:
        file["orientations"][10:] = np.nan
    run = read_run(rounds_run)
    known = np.isfinite(run.poses["orientations"]).all(1)
    assert known.tolist() == [True] * 10 + [False] * 290
    assert "View directions" in titles_of(run)


def test_what_is_no_run_is_refused(tmp_path, rounds_run, lumps):
    with pytest.raises(FormatError, match=r"neither config\.toml nor metrics\.jsonl"):
        read_run(tmp_path)
    write_volume(tmp_path / "intensity.h5", lumps.volume)
    with pytest.raises(FormatError, match="holds an intensity; expected a density"):
        read_run(rounds_run, tmp_path / "intensity.h5")
    (tmp_path / "metrics.jsonl").write_text('{"iteration": 1}\n')
    with pytest.raises(FormatError, match="xrai-baseline report"):
        read_run(tmp_path)
