"use strict";
// Sorts and filters tables, shows and hides columns, leads from two rows to their comparison, copies commands, searches,
// changes the theme, folds the menu of a narrow screen.
// Without this file every page reads the same.

const FIRST = 200; // rows of a long table that are shown until all are asked for

const isNone = (key) => key === "" || key === "-";

const NUMBER = /^-?[\d,]+(\.\d+)?$/;

/** Make an element with its properties and what it contains. */
function make(name, properties = {}, ...inside) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...inside);
  return made;
}

/** What a cell says without marks of notes and without the box that picks its row. */
function textOf(cell) {
  const parts = Array.from(cell.childNodes).filter((part) => !["SUP", "INPUT"].includes(part.nodeName));
  return parts.map((part) => part.textContent).join("").trim();
}

/** What a cell is sorted by: its number where it has one or is one, else its text. */
function keyOf(cell) {
  if (cell.dataset.o !== undefined) return Number(cell.dataset.o);
  const text = textOf(cell);
  return NUMBER.test(text) ? Number(text.replaceAll(",", "")) : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

/** What the address keeps of a page, so that a link shows what its sender saw. */
const address = {
  get: (name) => new URLSearchParams(location.hash.slice(1)).get(name),
  set(name, value) {
    const kept = new URLSearchParams(location.hash.slice(1));
    if (value) kept.set(name, value);
    else kept.delete(name);
    history.replaceState(null, "", `#${kept}`);
  },
};

const METHOD = /^(.*)methods\/([^/]+)\/([^/]+)\.html$/;
const picked = []; // boxes of methods, with their links

/** Offer the comparison of the last two methods that are ticked. */
function pick(box, link) {
  const at = picked.findIndex((each) => each.box === box);
  if (at >= 0) picked.splice(at, 1);
  if (box.checked) picked.push({ box, link });
  if (picked.length > 2) picked.shift().box.checked = false;
  const [bar] = document.getElementsByClassName("picked");
  const shown = bar ?? document.querySelector("main").appendChild(make("p", { className: "picked" }));
  shown.setAttribute("aria-live", "polite");
  shown.hidden = !picked.length;
  if (picked.length === 1) shown.replaceChildren(`${link.textContent}: tick another to compare`);
  if (picked.length < 2) return;
  const [[, top, board, first], [, , , second]] = picked.map((each) => METHOD.exec(each.link.getAttribute("href")));
  const words = `Compare ${picked.map((each) => each.link.textContent).join(" with ")}`;
  shown.replaceChildren(make("a", { href: `${top}compare.html#${new URLSearchParams({ board, first, second })}`, textContent: words }));
}

class Sheet {
  constructor(table, tools, number) {
    this.table = table;
    this.heads = Array.from(table.tHead.rows[0].cells);
    this.body = table.tBodies[0];
    this.rows = Array.from(this.body.rows);
    this.number = number;
    this.words = [];
    this.all = tools === null;
    if (tools !== null) {
      this.texts = new Map(this.rows.map((row) => [row, row.textContent.toLowerCase()]));
      this.addFilter(tools);
      this.addGroups(tools);
      this.addPicks();
    }
    if (table.classList.contains("sorts")) this.addButtons();
  }

  addButtons() {
    this.heads.forEach((head, column) => {
      const button = make("button", { type: "button" }, ...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        this.heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        this.sortBy(column, next === "ascending" ? 1 : -1);
      });
    });
  }

  addFilter(tools) {
    const id = `filter${this.number}`;
    const input = make("input", { type: "search", id, autocomplete: "off" });
    this.told = make("output");
    this.told.htmlFor = id;
    this.more = make("button", { type: "button", textContent: "Show all" });
    input.addEventListener("input", () => {
      this.filter(input.value);
      address.set(`rows${this.number}`, input.value.trim());
    });
    this.more.addEventListener("click", () => this.showAll());
    tools.append(make("label", { htmlFor: id, textContent: "Rows with" }), input, this.told, this.more);
    input.value = address.get(`rows${this.number}`) ?? "";
    this.filter(input.value);
  }

  filter(text) {
    this.words = text.toLowerCase().split(/\s+/).filter(Boolean);
    this.show();
  }

  /** A box for each group of columns; those of a board begin hidden. */
  addGroups(tools) {
    const groups = [...new Set(this.heads.map((head) => head.dataset.g).filter(Boolean))];
    if (!groups.length) return;
    const name = `columns${this.number}`;
    const shown = new Set((address.get(name) ?? "").split(",").filter(Boolean));
    const boxes = groups.map((group) => {
      const box = make("input", { type: "checkbox", checked: shown.has(group) });
      box.addEventListener("change", () => {
        if (box.checked) shown.add(group);
        else shown.delete(group);
        address.set(name, [...shown].join(","));
        this.showGroup(group, box.checked);
      });
      this.showGroup(group, box.checked);
      return make("label", {}, box, ` ${group}`);
    });
    tools.append(make("fieldset", {}, make("span", { textContent: "Columns" }), ...boxes));
  }

  showGroup(group, isShown) {
    this.heads.forEach((head, column) => {
      if (head.dataset.g !== group) return;
      head.hidden = !isShown;
      for (const row of this.rows) row.cells[column].hidden = !isShown;
    });
  }

  /** A box a row of a method; two that are ticked lead to the page that compares them. */
  addPicks() {
    if (!this.heads.some((head) => head.dataset.g)) return;
    for (const row of this.rows) {
      const cell = row.cells[Number(this.table.dataset.head)];
      const link = cell.querySelector("a");
      if (!METHOD.test(link?.getAttribute("href"))) continue;
      const box = make("input", { type: "checkbox", className: "pick", title: "Tick two to compare" });
      box.setAttribute("aria-label", `Compare ${textOf(cell)}`);
      box.addEventListener("change", () => pick(box, link));
      cell.prepend(box);
    }
  }

  /** From small to large or back; cells without a value stay last. */
  sortBy(column, direction) {
    const keyed = this.rows.map((row) => [keyOf(row.cells[column]), row]);
    const known = keyed.filter(([key]) => !isNone(key));
    known.sort(([a], [b]) => direction * compare(a, b));
    this.rows = [...known, ...keyed.filter(([key]) => isNone(key))].map(([, row]) => row);
    this.show();
    this.body.append(...this.rows);
  }

  showAll() {
    this.all = true;
    this.show();
  }

  show() {
    let fitting = 0;
    for (const row of this.rows) {
      const fits = this.words.every((word) => this.texts.get(row).includes(word));
      fitting += fits;
      const hidden = !fits || (!this.all && fitting > FIRST);
      if (row.hidden !== hidden) row.hidden = hidden;
    }
    if (this.told === undefined) return;
    const cut = !this.all && fitting > FIRST;
    this.told.textContent = `${fitting} of ${this.rows.length}${cut ? `, the first ${FIRST} shown` : ""}`;
    this.more.hidden = !cut;
  }
}

/** A button at a command that copies it. */
function addCopying(block) {
  const text = block.textContent;
  const button = make("button", { type: "button", textContent: "Copy" });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  });
  block.append(button);
}

/** Light, dark, or as the system has it. */
function addTheme() {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const keep = (theme) => {
    try {
      for (const key of ["theme", "mode"]) localStorage.setItem(key, theme); // the documentation reads both
    } catch { return; }
  };
  const isDark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  if (["light", "dark"].includes(kept())) root.dataset.theme = kept();
  const button = make("button", { type: "button" });
  const name = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    keep(root.dataset.theme);
    name();
  });
  name();
  document.querySelector(".theme").append(button);
}

/** A field in the bar, whose words the page of the search takes over. */
function addSearch() {
  const link = document.querySelector('nav a[href$="search.html"]');
  if (link === null || link.getAttribute("aria-current")) return;
  const field = make("input", { type: "search", placeholder: "Search" });
  field.setAttribute("aria-label", "Search all pages");
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") location.href = `${link.href}#${new URLSearchParams({ words: field.value })}`;
  });
  link.parentNode.className = "spare";
  document.querySelector(".theme").append(field);
}

/** A button that opens the list of pages, where a narrow screen hides it. */
function addMenu() {
  const bar = document.querySelector("header nav");
  const list = bar.querySelector("ul");
  const button = make("button", { type: "button", className: "menu", textContent: "Menu" });
  list.id = "pages";
  button.setAttribute("aria-controls", list.id);
  const show = (isOpen) => {
    bar.classList.toggle("open", isOpen);
    button.setAttribute("aria-expanded", String(isOpen));
  };
  button.addEventListener("click", () => show(!bar.classList.contains("open")));
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !bar.classList.contains("open")) return;
    show(false);
    button.focus();
  });
  bar.classList.add("folds");
  show(false);
  list.before(button);
}

/** Fade the right edge of a table that goes on there. */
function fadeEdges(box) {
  const look = () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  box.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(box);
}

const sheets = Array.from(document.querySelectorAll(".sheet"), (sheet, number) => {
  return new Sheet(sheet.querySelector("table"), sheet.querySelector(".tools"), number);
});
document.querySelectorAll("pre").forEach(addCopying);
document.querySelectorAll(".scroll").forEach(fadeEdges);
addMenu();
addSearch();
addTheme();
addEventListener("beforeprint", () => sheets.forEach((sheet) => sheet.showAll()));
