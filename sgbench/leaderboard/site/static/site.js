"use strict";
// Sorts and filters tables. Without this file every page reads the same.

const FIRST = 200; // rows of a long table that are shown until all are asked for

const isNone = (key) => key === "" || key === "-";

const NUMBER = /^-?[\d,]+(\.\d+)?$/;

/** What a cell is sorted by: its number where it has one or is one, else its text without marks of notes. */
function keyOf(cell) {
  if (cell.dataset.o !== undefined) return Number(cell.dataset.o);
  const parts = Array.from(cell.childNodes).filter((part) => part.nodeName !== "SUP");
  const text = parts.map((part) => part.textContent).join("").trim();
  return NUMBER.test(text) ? Number(text.replaceAll(",", "")) : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b, "en", { numeric: true });
}

class Sheet {
  constructor(table, tools, number) {
    this.body = table.tBodies[0];
    this.rows = Array.from(this.body.rows);
    this.words = [];
    this.all = tools === null;
    if (table.classList.contains("sorts")) this.addButtons(Array.from(table.tHead.rows[0].cells));
    if (tools !== null) this.addFilter(tools, number);
  }

  addButtons(heads) {
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", next);
        this.sortBy(column, next === "ascending" ? 1 : -1);
      });
    });
  }

  addFilter(tools, number) {
    this.texts = new Map(this.rows.map((row) => [row, row.textContent.toLowerCase()]));
    const label = document.createElement("label");
    const input = document.createElement("input");
    this.told = document.createElement("output");
    this.more = document.createElement("button");
    input.type = "search";
    input.id = `filter${number}`;
    input.autocomplete = "off";
    label.htmlFor = input.id;
    label.textContent = "Rows with";
    this.told.htmlFor = input.id;
    this.more.type = "button";
    this.more.textContent = "Show all";
    input.addEventListener("input", () => {
      this.words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      this.show();
    });
    this.more.addEventListener("click", () => this.showAll());
    tools.append(label, input, this.told, this.more);
    this.show();
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

const sheets = Array.from(document.querySelectorAll(".sheet"), (sheet, number) => {
  return new Sheet(sheet.querySelector("table"), sheet.querySelector(".tools"), number);
});
addEventListener("beforeprint", () => sheets.forEach((sheet) => sheet.showAll()));
