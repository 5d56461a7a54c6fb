"use strict";
// Lets charts answer: what a point says, its row in the page's tables, names on and off, an axis log or linear.
// Loaded after site.js, whose `make` it takes. A drawing has all its places as "x y" in paths, so that moving an axis is one function over these.

const PAIR = /(-?[\d.]+) (-?[\d.]+)/g;
const REACH = 40; // of a pointer, in units of a drawing
const NAMES_SHARE = 0.55; // of a narrow screen, for names of rows
const FOOT = 12; // height above a frame that has no numbers there
/** From a value to its place on an axis, and back: logarithms, and those of the errors of accuracies in %. */
const SCALES = {
  log: [(value) => Math.log10(value), (place) => 10 ** place],
  error: [(value) => -Math.log10(1 - value / 100), (place) => 100 - 100 / 10 ** place],
};
const SVG = "http://www.w3.org/2000/svg";

const links = document.querySelectorAll("tbody th a[href]");
const rowsByLink = new Map(Array.from(links, (link) => [link.href, link.closest("tr")]));

const placesOf = (path) => Array.from(path.getAttribute("d").matchAll(PAIR), ([, x, y]) => [Number(x), Number(y)]);

const isOff = ({ group }) => group.classList.contains("off");

function makeSvg(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** Round numbers between two ends. */
function ticks(low, high) {
  const rough = (high - low) / 5;
  const decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((size) => size * decade).find((size) => size >= rough * (1 - 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: count }, (_, place) => Number(((first + place) * step).toPrecision(10)));
}

/** The line and the text of a tick of an axis. */
function tickAt(name, value, at, { left, right, bottom, top }) {
  const isX = name === "x";
  const place = isX ? { x: at, y: bottom + 18 } : { x: left - 8, y: at + 4 };
  const line = isX ? `M${at} ${top}V${bottom}` : `M${left} ${at}H${right}`;
  const above = isX && top > FOOT ? [makeSvg("text", { x: at, y: top - 8 }, String(value))] : [];
  return [makeSvg("path", { class: "grid", d: line }), makeSvg("text", place, String(value)), ...above];
}

class ChartPanel {
  constructor(svg, said) {
    this.svg = svg;
    this.said = said;
    this.shown = null;
    this.targets = Array.from(svg.querySelectorAll("title"), (title) => this.targetsOf(title)).flat();
    this.halo = makeSvg("path", { class: "halo", d: "" });
    svg.append(this.halo);
    svg.tabIndex = 0;
    svg.addEventListener("pointermove", (event) => this.show(this.nearest(event)));
    for (const name of ["pointerleave", "blur"]) svg.addEventListener(name, () => this.show(null));
    svg.addEventListener("keydown", (event) => this.step(event));
    const scales = make("span", { className: "scales" });
    for (const kind of Object.keys(SCALES)) scales.append(...Array.from(svg.dataset[kind] ?? "", (name) => this.scaleButton(name, kind)));
    svg.before(scales);
  }

  /** What a mark says, or each point of a line; a line that says nothing has its name. */
  targetsOf(title) {
    const path = title.parentNode;
    const [group, link] = [path.closest("[data-k]"), path.closest("a")];
    if (link !== null) {
      link.setAttribute("aria-label", title.textContent);
      link.tabIndex = -1;
    }
    title.remove(); // else a browser shows it too
    if (path.classList.contains("line") && group.querySelector(".dot") !== null) return [];
    const told = path.dataset.told?.split("\n").map((text) => `${title.textContent}: ${text}`);
    const places = path.classList.contains("cell") ? [null] : placesOf(path);
    const row = link === null ? undefined : rowsByLink.get(new URL(link.getAttribute("href"), document.baseURI).href);
    return places.map((_, place) => ({ path, place, group, link, row, text: told?.[place] ?? title.textContent }));
  }

  /** Where a point stands now; a cell at its middle. */
  at({ path, place }) {
    const places = placesOf(path);
    if (!path.classList.contains("cell")) return places[place];
    return [(places[0][0] + places[2][0]) / 2, (places[0][1] + places[2][1]) / 2];
  }

  nearest(event) {
    const pointer = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    let [found, least] = [null, REACH];
    for (const target of this.targets) {
      if (isOff(target)) continue;
      const [x, y] = this.at(target);
      const distance = Math.hypot(x - pointer.x, y - pointer.y);
      if (distance < least) [found, least] = [target, distance];
    }
    return found;
  }

  /** Arrows go from point to point, Enter follows a link. */
  step(event) {
    if (event.key === "Enter") this.shown?.link?.dispatchEvent(new MouseEvent("click"));
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const open = this.targets.filter((target) => !isOff(target));
    if (by === undefined || !open.length) return;
    event.preventDefault();
    const from = open.indexOf(this.shown);
    this.show(open[from < 0 ? 0 : (from + by + open.length) % open.length]);
  }

  show(target) {
    if (target === this.shown) return;
    this.light(this.shown, false);
    this.light(target, true);
    this.shown = target;
    this.said.hidden = target === null;
    if (target === null) return;
    this.said.textContent = target.text;
    const place = new DOMPoint(...this.at(target)).matrixTransform(this.svg.getScreenCTM());
    const frame = this.said.parentNode.getBoundingClientRect();
    const left = Math.min(place.x - frame.left + 12, frame.width - this.said.offsetWidth);
    this.said.style.left = `${Math.max(0, left)}px`;
    this.said.style.top = `${place.y - frame.top + 14}px`;
  }

  light(target, isLit) {
    if (target === null) return;
    target.group.classList.toggle("lit", isLit);
    this.halo.setAttribute("d", isLit ? `M${this.at(target).join(" ")}h0` : "");
    this.svg.classList.toggle("asked", isLit);
    target.row?.classList.toggle("lit", isLit);
  }

  scaleButton(name, kind) {
    const button = make("button", { type: "button", textContent: `${name} axis: linear` });
    button.addEventListener("click", () => {
      const isLinear = this.svg.dataset[kind].includes(name);
      this.svg.dataset[kind] = isLinear ? this.svg.dataset[kind].replace(name, "") : this.svg.dataset[kind] + name;
      this.rescale(name, isLinear, SCALES[kind]);
      button.textContent = `${name} axis: ${isLinear ? "log" : "linear"}`;
    });
    return button;
  }

  /** Move all places of an axis from its scale to values, or back. */
  rescale(name, isLinear, [placeOf, valueOf]) {
    const [left, right, bottom, top] = this.svg.dataset.frame.split(" ").map(Number);
    const [from, to] = name === "x" ? [left, right] : [bottom, top];
    const [low, high] = this.svg.dataset[name].split(" ").map(Number);
    const [least, most] = [valueOf(low), valueOf(high)];
    const linear = (value) => from + ((to - from) * (value - least)) / (most - least);
    const scaled = (value) => from + ((to - from) * (placeOf(value) - low)) / (high - low);
    const moved = isLinear
      ? (at) => linear(valueOf(low + ((high - low) * (at - from)) / (to - from)))
      : (at) => scaled(least + ((most - least) * (at - from)) / (to - from));
    const placed = (at) => moved(Number(at)).toFixed(6);
    const pair = (_, x, y) => (name === "x" ? `${placed(x)} ${y}` : `${x} ${placed(y)}`);
    for (const path of this.svg.querySelectorAll(".plot path")) {
      path.setAttribute("d", path.getAttribute("d").replace(PAIR, pair));
    }
    for (const text of this.svg.querySelectorAll(".plot text")) {
      text.setAttribute(name, placed(text.getAttribute(name)));
    }
    const group = this.svg.querySelector(`g.${name}`);
    this.logTicks ??= {};
    this.logTicks[name] ??= [...group.childNodes];
    const tick = (value) => tickAt(name, value, linear(value), { left, right, bottom, top });
    group.replaceChildren(...(isLinear ? ticks(least, most).flatMap(tick) : this.logTicks[name]));
  }
}

/** A button for each name of a legend, which hides and shows what is called so in all panels. */
function addNames(figure) {
  for (const key of figure.querySelectorAll(".key")) {
    const button = make("button", { type: "button" }, ...key.childNodes);
    button.setAttribute("aria-pressed", "true");
    key.append(button);
    button.addEventListener("click", () => {
      const isOn = button.getAttribute("aria-pressed") === "false";
      button.setAttribute("aria-pressed", String(isOn));
      const groups = figure.querySelectorAll(`g[data-k="${key.dataset.k}"]`);
      for (const group of groups) group.classList.toggle("off", !isOn);
    });
  }
}

/** A row of a table that is pointed at lights its points. */
function addRow(panel, target) {
  target.row?.addEventListener("pointerenter", () => panel.light(target, true));
  target.row?.addEventListener("pointerleave", () => panel.light(target, false));
}

/** Where a wide chart has to be scrolled, begin with the ends of its rows' names beside their marks. */
function showBoth(svg) {
  const left = (Number(svg.dataset.frame.split(" ")[0]) * svg.clientWidth) / svg.viewBox.baseVal.width;
  svg.parentNode.scrollLeft = left - NAMES_SHARE * svg.parentNode.clientWidth;
}

/** Let a figure's charts answer. */
function answerIn(figure) {
  const said = make("output", { className: "said", hidden: true });
  addNames(figure);
  for (const svg of figure.querySelectorAll(".panel > svg")) {
    const panel = new ChartPanel(svg, said);
    for (const target of panel.targets) addRow(panel, target);
    if (svg.matches(".wide")) showBoth(svg);
  }
  figure.append(said);
}

document.querySelectorAll("figure.chart").forEach(answerIn);
