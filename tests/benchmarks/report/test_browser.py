"""The page in a browser: nothing asked of the network, tables sorted and filtered, plots drawn."""

import json

from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from tests.browser import wait

#: where a point of a plot is, from the middle of its element
_PLACE = """
const [plot, [x, y]] = arguments, box = plot.getBoundingClientRect();
const at = (axis, value, size) => axis._offset + axis.d2p(value) - size / 2;
const { xaxis, yaxis } = plot._fullLayout;
return [at(xaxis, x, box.width), at(yaxis, y, box.height)];
"""
_CAMERAS = """
const surfaces = [...document.querySelectorAll(".surface")];
return surfaces.map((one) => {
  const { x, y, z } = one._fullLayout.scene._scene.getCamera().eye;
  return [x, y, z].map((value) => value.toFixed(3)).join();
});
"""


def texts(browser: Chrome, selector: str) -> list[str]:
    return [one.text for one in browser.find_elements(By.CSS_SELECTOR, selector) if one.text]


def show(browser: Chrome, task: str) -> None:
    """Click on a task's name above the tasks."""
    links = browser.find_elements(By.CSS_SELECTOR, "nav a")
    (link,) = [one for one in links if one.text == task]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", link)
    link.click()
    wait(browser, lambda: texts(browser, "article:not([hidden]) h3") == [task])


def complaints(browser: Chrome) -> list[str]:
    return [one["message"] for one in browser.get_log("browser") if one["level"] == "SEVERE"]


def test_nothing_goes_wrong_and_nothing_is_asked_of_the_network(page: Chrome) -> None:
    show(page, "quick")
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "article[data-surfaces]"))
    assert complaints(page) == []
    events = [json.loads(one["message"])["message"] for one in page.get_log("performance")]
    sent = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
    asked = [one["request"]["url"] for one in sent if one["documentURL"].startswith("file:")]
    assert page.current_url.partition("#")[0] in asked
    assert {url.split(":")[0] for url in asked} <= {"file", "data", "blob"}


def test_the_table_sorts_and_filters_on_clicks(page: Chrome) -> None:
    column = texts(page, "#leaderboard thead th").index("fsc_truth_0.5 (Å)") + 1
    cell = f"#leaderboard tbody tr:not([hidden]) td:nth-child({column})"
    heading = page.find_elements(By.CSS_SELECTOR, "#leaderboard thead button")[column - 1]
    heading.click()
    values = [text.split()[-1 if "≤" in text else 0] for text in texts(page, cell)]
    assert values == ["9.0", "21.0", "22.0", "24.0", "30.0", "40.0"]
    last = "#leaderboard tbody tr:last-child"
    assert "emc" in texts(page, last)[0]  # a failed run has nothing to sort by
    heading.click()
    assert [text.split()[0] for text in texts(page, cell)][:2] == ["40.0", "30.0"]
    assert "emc" in texts(page, last)[0]

    method = Select(page.find_element(By.CSS_SELECTOR, "[data-filter=method]"))
    method.select_by_visible_text("xrai")
    shown = "#leaderboard tbody tr:not([hidden]) td:nth-child(2)"
    assert texts(page, shown) == ["xrai", "xrai", "xrai"]
    assert texts(page, "#count") == ["3 of 7 rows"]
    origin = Select(page.find_element(By.CSS_SELECTOR, "[data-filter=origin]"))
    origin.select_by_visible_text("self-reported")
    assert texts(page, "#count") == ["0 of 7 rows"]
    method.select_by_visible_text("all")
    assert texts(page, shown) == ["theirs, self-reported"]


def test_plots_have_their_lines_and_say_values(page: Chrome) -> None:
    show(page, "quick")
    drawings = page.find_elements(By.CSS_SELECTOR, "article:not([hidden]) .drawing")
    titles = texts(page, "article:not([hidden]) .plot figcaption span")
    assert len(drawings) == len(titles) == 4
    lines = [
        len(one.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace path.js-line"))
        for one in drawings
    ]
    assert lines[:3] == [4, 4, 4]  # oracle, two seeds of xrai, theirs
    curve = drawings[titles.index("Density against the truth: Fourier shell correlation")]
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", curve)
    x, y = page.execute_script(_PLACE, curve, [0.03, 0.4])  # 1 − C of the second shell
    ActionChains(page).move_to_element_with_offset(curve, int(x), int(y)).perform()
    told = wait(page, lambda: texts(page, ".hoverlayer .hovertext"))
    assert "seed" in told[0]
    assert "33.33 Å: C = 0.6" in told[0]


def test_a_choice_takes_another_resolution(page: Chrome) -> None:
    plot = page.find_element(By.CSS_SELECTOR, "#ladders .plot")
    ticks = texts(page, "#ladders .ytick")
    Select(plot.find_element(By.TAG_NAME, "select")).select_by_visible_text("fsc_truth_0.5")
    wait(page, lambda: texts(page, "#ladders .ytick") != ticks)
    assert complaints(page) == []


def test_surfaces_are_drawn_side_by_side_and_given_back(page: Chrome) -> None:
    show(page, "quick")
    wait(page, lambda: page.find_elements(By.CSS_SELECTOR, "article[data-surfaces='3']"))
    assert len(page.find_elements(By.CSS_SELECTOR, ".surface canvas")) >= 3
    triangles = page.execute_script(
        "return [...document.querySelectorAll('.surface')].map((one) => one.data[0].i.length)"
    )
    assert min(triangles) > 100
    first = page.find_element(By.CSS_SELECTOR, ".surface")
    page.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
    before = page.execute_script(_CAMERAS)
    drag = ActionChains(page).move_to_element(first).click_and_hold()
    drag.move_by_offset(20, 5).move_by_offset(20, 10).release().perform()
    wait(page, lambda: before[0] not in page.execute_script(_CAMERAS))
    wait(page, lambda: len(set(page.execute_script(_CAMERAS))) == 1)  # all turned alike
    show(page, "other")
    wait(page, lambda: not page.find_elements(By.CSS_SELECTOR, ".surface canvas"))
    assert "No slices" in page.find_element(By.CSS_SELECTOR, "article:not([hidden])").text
