// The leaderboard: a click on a heading sorts, a choice above it filters.
"use strict";
(() => {
  const table = document.getElementById("leaderboard"), body = table.tBodies[0];
  const rows = [...body.rows], heads = [...table.tHead.rows[0].cells];
  const choices = [...document.querySelectorAll("[data-filter]")];

  function compare(a, b, column, sign) {
    const [x, y] = [a.cells[column], b.cells[column]];
    if (x.dataset.sort !== undefined) return sign * x.dataset.sort.localeCompare(y.dataset.sort, "en", { numeric: true });
    const [m, n] = [x.dataset.number, y.dataset.number];
    if (m === undefined || n === undefined) return (m === undefined) - (n === undefined);  // nothing comes last
    return sign * (m - n);
  }

  // A line above the first row of each task, as long as tasks are together.
  function group() {
    const shown = [...body.rows].filter((row) => !row.hidden), runs = shown.filter((row, i) => row.dataset.task !== shown[i - 1]?.dataset.task);
    const together = runs.length === new Set(runs.map((row) => row.dataset.task)).size && runs.length < shown.length;
    shown.forEach((row, i) => row.classList.toggle("group", together && i > 0 && runs.includes(row)));
    document.getElementById("count").textContent = `${shown.length} of ${rows.length} rows`;
  }

  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") !== "ascending";
    heads.forEach((one) => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...[...rows].sort((a, b) => compare(a, b, column, up ? 1 : -1)));
    group();
  }));

  for (const choice of choices) choice.addEventListener("change", () => {
    for (const row of rows) row.hidden = choices.some((one) => one.value && row.dataset[one.dataset.filter] !== one.value);
    group();
  });

  group();
})();
