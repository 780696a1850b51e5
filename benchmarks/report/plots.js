// Plots: drawn when their part of the page is first shown; a choice in the caption takes another figure.
"use strict";
const plots = (() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const CONFIG = { responsive: true, displaylogo: false, displayModeBar: "hover", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };

  function draw(element) {
    const { data, layout } = figures[element.dataset.place][element.dataset.number][choice(element)];
    return Plotly.react(element, data, structuredClone(layout), CONFIG);
  }

  function choice(element) {
    const select = element.closest("figure").querySelector("select");
    return select ? select.value : Object.keys(figures[element.dataset.place][element.dataset.number])[0];
  }

  function show(part) {
    for (const element of part.querySelectorAll(".drawing:not(.js-plotly-plot)")) draw(element);
  }

  for (const select of document.querySelectorAll("figcaption select"))
    select.addEventListener("change", () => draw(select.closest("figure").querySelector(".drawing")));

  return { show };
})();
const ladders = document.getElementById("ladders");
if (ladders) plots.show(ladders);
