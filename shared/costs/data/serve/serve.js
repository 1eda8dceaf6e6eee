"use strict";
// What pages can do more with a script: follow, sort, offer, copy, answer keys.
(() => {
  const body = document.body;
  const live = document.querySelector(".live");
  let version = body.dataset.version;
  let tag = "";
  let stream = null;
  let busy = false;
  let again = false;
  let stayed = false;

  // --- following: the server says that something changed, the page fetches itself and swaps what differs

  function say(text, lost) {
    live.hidden = false;
    live.classList.toggle("lost", lost);
    if (live.textContent !== text) live.textContent = text;
  }

  function listen() {
    if (stream || document.hidden || !body.dataset.version) return;
    stream = new EventSource(body.dataset.events);
    stream.onmessage = (event) => {
      say("Live", false);
      if (event.data === version) return;
      version = event.data;
      refresh();
    };
    stream.onerror = () => {
      say("Not connected", true);
      if (stream.readyState !== EventSource.CLOSED) return;
      stop();
      setTimeout(listen, 5000);
    };
  }

  function stop() {
    if (stream) stream.close();
    stream = null;
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.ok) {
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        stayed = !swap(page);
        tag = stayed ? "" : answer.headers.get("ETag");
      }
    } catch {
      say("Not connected", true);
    }
    busy = false;
    if (again) { again = false; refresh(); }
  }

  // Swaps the parts that differ; false where one stayed because it has the focus.
  function swap(page) {
    const fresh = [...page.querySelectorAll(".part")];
    const names = new Set(fresh.map((part) => part.id));
    let whole = true;
    let before = null;
    for (const part of fresh) {
      const old = document.getElementById(part.id);
      if (old && (old.dataset.digest === part.dataset.digest || hasFocus(old))) {
        whole &&= old.dataset.digest === part.dataset.digest;
        before = old;
        continue;
      }
      if (old) {
        keep(old, part);
        old.replaceWith(part);
      } else if (before) before.after(part);
      dress(part);
      before = part;
    }
    for (const part of document.querySelectorAll(".part")) if (!names.has(part.id) && !hasFocus(part)) part.remove();
    return whole;
  }

  const hasFocus = (part) => part.contains(document.activeElement);

  // Folds stay open, tables sorted.
  function keep(old, part) {
    const folds = part.querySelectorAll("details");
    old.querySelectorAll("details").forEach((fold, at) => { if (folds[at]) folds[at].open = fold.open; });
    const headings = part.querySelectorAll("th");
    old.querySelectorAll("th").forEach((heading, at) => {
      const order = heading.getAttribute("aria-sort");
      if (order && headings[at]) sort(headings[at], order === "descending");
    });
  }

  document.addEventListener("focusout", () => { if (stayed) setTimeout(refresh); });
  document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
  addEventListener("pagehide", stop);
  addEventListener("pageshow", listen);
  listen();

  // --- sorting: by the column whose heading was pressed, numbers by their value, texts by their words

  function dress(root) {
    for (const heading of root.querySelectorAll("thead th")) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
    }
    for (const note of root.querySelectorAll("[data-remedy]")) {
      const button = document.createElement("button");
      button.type = "button";
      button.dataset.copy = note.dataset.remedy;
      button.textContent = "Copy command";
      note.append(" ", button);
    }
  }
  dress(document);

  function sort(heading, down) {
    const table = heading.closest("table");
    const column = heading.cellIndex;
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x === "" || y === "") return x === y ? 0 : x === "" ? 1 : -1;
      const difference = Number(x) - Number(y);
      return sign * (Number.isNaN(difference) ? x.localeCompare(y) : difference);
    };
    table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("th button");
    if (button) {
      const heading = button.parentElement;
      const before = heading.getAttribute("aria-sort");
      sort(heading, before ? before === "ascending" : heading.classList.contains("number"));
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) navigator.clipboard?.writeText(copy.dataset.copy).then(() => { copy.textContent = "Copied"; });
  });

  // --- filters: their known values are offered once they are opened

  for (const fold of document.querySelectorAll("details.filter")) fold.ontoggle = async () => {
    fold.ontoggle = null;
    const known = await (await fetch(fold.dataset.known)).json();
    for (const input of fold.querySelectorAll("[data-known]")) {
      const list = document.createElement("datalist");
      list.id = `known-${input.name}`;
      list.append(...known[input.dataset.known].map((value) => new Option("", value)));
      input.after(list);
      input.setAttribute("list", list.id);
    }
  };

  // --- keys: g and a letter go to a page, / finds a job, ? shows the keys

  const OFF = "cost-dashboard-keys-off";
  const isOff = () => localStorage.getItem(OFF) === "1";
  let going = false;

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select, textarea")) return;
    if (event.key === "?") { event.preventDefault(); help(); return; }
    if (isOff() || document.querySelector("dialog[open]")) return;
    const tab = going && document.querySelector(`.top nav a[data-key="${CSS.escape(event.key)}"]`);
    going = event.key === "g";
    if (tab) location.assign(tab.href);
    if (event.key === "/") { event.preventDefault(); document.querySelector(".find input").focus(); }
  });

  function help() {
    let dialog = document.querySelector("dialog");
    if (!dialog) {
      dialog = document.createElement("dialog");
      dialog.setAttribute("aria-label", "Keys");
      const tabs = [...document.querySelectorAll(".top nav a[data-key]")];
      const rows = [...tabs.map((tab) => [`g ${tab.dataset.key}`, tab.textContent]), ["/", "Find a job"], ["?", "These keys"]];
      const list = document.createElement("dl");
      for (const [key, text] of rows) {
        const [term, what, box] = ["dt", "dd", "kbd"].map((name) => document.createElement(name));
        box.textContent = key;
        term.append(box);
        what.textContent = text;
        list.append(term, what);
      }
      const label = document.createElement("label");
      const use = document.createElement("input");
      use.type = "checkbox";
      use.checked = !isOff();
      use.onchange = () => localStorage.setItem(OFF, use.checked ? "0" : "1");
      label.append(use, " Keys are on");
      const done = document.createElement("button");
      done.textContent = "Close";
      done.onclick = () => dialog.close();
      dialog.append(list, label, done);
      body.append(dialog);
    }
    dialog.showModal();
  }

  addEventListener("beforeprint", () => { for (const fold of document.querySelectorAll("details.fold")) fold.open = true; });
})();
