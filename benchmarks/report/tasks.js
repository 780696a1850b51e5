// One task at a time: the one that the address names, else the first.
"use strict";
(() => {
  const parts = [...document.querySelectorAll("article")], links = [...document.querySelectorAll("nav a")];
  let shown = null;

  function choose(scroll) {
    const name = decodeURIComponent(location.hash.slice(1));
    const next = parts.find((part) => part.dataset.task === name) ?? shown ?? parts[0];
    if (!next || next === shown) return;
    if (shown) surfaces.hide(shown);
    for (const part of parts) part.hidden = part !== next;
    for (const link of links) link.toggleAttribute("aria-current", decodeURIComponent(link.hash.slice(1)) === next.dataset.task);
    shown = next;
    plots.show(next);
    surfaces.show(next);
    if (scroll) document.getElementById("tasks").scrollIntoView();
  }

  addEventListener("hashchange", () => choose(true));
  choose(Boolean(location.hash));
})();
