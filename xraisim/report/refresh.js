// Asks the server for the page again and puts in what changed. What the reader does stays: scroll
// position, opened details, and the viewer's turn, zoom, level and volume.
"use strict";
(() => {
  let tag = null;

  const parts = (page) => [...page.querySelectorAll("main > section[id], main > #head, main > #status")];

  function renew(old, fresh) {
    const opened = [...old.querySelectorAll("details")].map((d) => d.open);
    old.replaceWith(fresh);
    fresh.querySelectorAll("details").forEach((d, i) => { d.open = opened[i] ?? false; });
  }

  function renewViewer(old, fresh) {
    const [before, after] = [old, fresh].map((part) => part.querySelector("#viewer-data"));
    if (before && after) {
      if (before.textContent === after.textContent) return;
      before.textContent = after.textContent;
    } else if (before || after) {
      old.replaceWith(fresh);
    } else return;
    viewer.load();
  }

  function put(text) {
    const page = new DOMParser().parseFromString(text, "text/html");
    const fresh = parts(page), kept = new Set(fresh.map((part) => part.id));
    for (const part of parts(document)) if (!kept.has(part.id)) part.remove();
    let last = null;
    for (const part of fresh) {
      const old = document.getElementById(part.id);
      if (!old) last ? last.after(part) : document.querySelector("main").prepend(part);
      else if (part.id === "viewer") renewViewer(old, part);
      else if (old.innerHTML !== part.innerHTML) renew(old, part);
      last = document.getElementById(part.id);
    }
    document.body.dataset.refreshed = +(document.body.dataset.refreshed ?? 0) + 1;
  }

  async function ask() {
    const lost = document.getElementById("connection");
    try {
      const answer = await fetch("/", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        put(await answer.text());
      }
      lost.hidden = true;
    } catch {
      lost.hidden = false;
    }
    setTimeout(ask, 1000 * REFRESH_S);
  }

  setTimeout(ask, 1000 * REFRESH_S);
})();
