"use strict";
// Compares the two methods that the address names: their difference, figures, curves, and the settings that differ.
// Loaded after charts.js. What is known of a method is a script beside its page, since a page of a folder reads no other files.

const PLAIN = /^[\w-]+$/; // a name that leads to no other folder
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 260, 64, 628, 12, 216];
const shown = document.getElementById("compared");
const quantiles = shown.dataset.quantiles.split(" ").map(Number); // of Student's t at 95 %, from one degree of freedom on

const ROUNDING = 1e-10; // of scores
const NAMES = ["first", "second"];
const COSTS = /^(spikes|synaptic operations|nJ, .*)$/;

const sum = (values) => values.reduce((total, value) => total + value, 0);

/** Mean difference over shared seeds with its interval by Student's t; null where no two are shared. */
function paired(first, second) {
  const seeds = Object.keys(first.scores).filter((seed) => seed in second.scores);
  const [differences, n] = [seeds.map((seed) => first.scores[seed] - second.scores[seed]), seeds.length];
  if (n < 2) return null;
  const mean = sum(differences) / n;
  const spread = Math.sqrt(sum(differences.map((each) => (each - mean) ** 2)) / (n - 1));
  const half = (quantiles[n - 2] * spread) / Math.sqrt(n);
  const most = first.isLoss ? Infinity : 100;
  return { n, mean, spread, low: Math.max(mean - half, -most), high: Math.min(mean + half, most) };
}

/** Whether the two differ significantly by the seeds of this pair, in a sentence; a board's own verdict corrects for all its pairs. */
function verdict(first, second) {
  const found = paired(first, second);
  if (found === null) return "They share no two seeds, so no difference is paired; the command below compares them unpaired.";
  const { n, mean, spread, low, high } = found;
  const text = (value) => (first.isLoss ? Number(value.toPrecision(4)).toString() : value.toFixed(2));
  const unit = first.isLoss ? " in loss, of which less is better" : " points of test accuracy";
  const isBetter = first.isLoss ? mean < 0 : mean > 0;
  const result = low <= 0 && high >= 0 ? "the two do not differ significantly" : `the ${isBetter ? "first" : "second"} is better`;
  const ends = spread > ROUNDING ? `95 % interval ${text(low)} to ${text(high)}` : "the same in every seed";
  const lead = "For this pair alone, without correction for the other pairs of the board";
  return `${lead}, ${result}: the first minus the second is ${text(mean)}${unit} (${ends}, Student's t paired by ${n} seeds).`;
}

function tableOf(caption, titles, rows) {
  const head = make("tr", {}, ...titles.map((title) => make("th", { scope: "col", textContent: title })));
  const body = rows.map(([name, ...texts]) => {
    const cells = texts.map((text) => make("td", { className: "m", textContent: text }));
    return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells);
  });
  const parts = [make("caption", { textContent: caption }), make("thead", {}, head), make("tbody", {}, ...body)];
  const scroll = make("div", { className: "scroll", tabIndex: 0 }, make("table", {}, ...parts));
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", caption);
  return make("div", { className: "sheet" }, scroll);
}

/** How many times the first the second is, of counts and energies. */
function times(first, second) {
  const [a, b] = [first, second].map((text) => Number(text.replaceAll(",", "")));
  return a > 0 && b > 0 ? (b / a).toPrecision(3) : "";
}

function figuresOf(first, second) {
  const names = Object.keys(first.figures).filter((name) => name in second.figures);
  const rows = names.map((name) => {
    const texts = [first.figures[name], second.figures[name]];
    return [name, ...texts, COSTS.test(name) ? times(...texts) : ""];
  });
  return tableOf("Figures of both; costs are of one inference", ["figure", "first", "second", "second / first"], rows);
}

function settingsOf(first, second) {
  const names = [...new Set([...Object.keys(first.settings), ...Object.keys(second.settings)])];
  const given = ({ settings }, name) => (settings[name] ?? "null").replace(/^null$/, "-"); // null: the entry's own
  const rows = names.map((name) => [name, given(first, name), given(second, name)]);
  const unlike = rows.filter(([, a, b]) => a !== b);
  if (!unlike.length) return make("p", { textContent: "No setting differs: their code comes from different sources." });
  return tableOf("Settings that differ", ["setting", "first", "second"], unlike);
}

/** A panel with the curves of both, each a mean with its band, as the pages of methods have them. */
function panelOf(both, place) {
  const { title, axis } = both[0].curves[place];
  const isLog = both.every((method) => method.curves[place].isLog);
  const scaled = (value) => (isLog ? Math.log10(value) : value);
  const lines = both.map((method) => method.curves[place].points);
  const points = lines.flat();
  const [xs, ys] = [points.map(([x]) => x), points.flatMap(([, ...values]) => values.map(scaled)).filter(Number.isFinite)];
  if (!ys.length) return null;
  const [xEnds, yEnds] = [xs, ys].map((values) => [Math.min(...values), Math.max(...values)]);
  for (const ends of [xEnds, yEnds]) if (ends[0] === ends[1]) ends[1] += 1;
  const inside = (share) => Math.min(Math.max(share, 0), 1);
  const x = (value) => (LEFT + ((RIGHT - LEFT) * (value - xEnds[0])) / (xEnds[1] - xEnds[0])).toFixed(1);
  const y = (value) => (BOTTOM - (BOTTOM - TOP) * inside((scaled(value) - yEnds[0]) / (yEnds[1] - yEnds[0]))).toFixed(1);
  const path = (places) => places.map(([across, up]) => `${x(across)} ${y(up)}`).join("L");
  const data = { "data-frame": `${LEFT} ${RIGHT} ${BOTTOM} ${TOP}`, "data-x": xEnds.join(" "), "data-y": yEnds.join(" ") };
  const shape = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title, "data-log": isLog ? "y" : "" };
  const svg = makeSvg("svg", { ...shape, ...data });
  const frame = { left: LEFT, right: RIGHT, bottom: BOTTOM, top: TOP };
  const [across, up, plot] = ["x", "y", "plot"].map((name) => makeSvg("g", { class: name }));
  across.append(...ticks(...xEnds).flatMap((value) => tickAt("x", value, Number(x(value)), frame)));
  const values = isLog ? logTicks(...yEnds) : ticks(...yEnds);
  up.append(...values.flatMap((value) => tickAt("y", value, Number(y(value)), frame)));
  lines.forEach((line, number) => {
    if (!line.length) return;
    const group = makeSvg("g", { class: `l${number}`, "data-k": number });
    const ended = line.filter((point) => point.length === 4);
    const edge = [...ended.map(([at, , , high]) => [at, high]), ...ended.toReversed().map(([at, , low]) => [at, low])];
    if (ended.length > 1) group.append(makeSvg("path", { class: "band", d: `M${path(edge)}Z` }));
    const told = line.map(([epoch, mean, ...ends]) => {
      const [text, ...interval] = [mean, ...ends].map((value) => Number(value.toPrecision(4)));
      return `epoch ${epoch}, ${text}${interval.length ? ` (${interval.join(" to ")})` : ""}`;
    });
    const drawn = makeSvg("path", { class: "line", d: `M${path(line)}`, "data-told": told.join("\n") });
    drawn.append(makeSvg("title", {}, NAMES[number]));
    group.append(drawn);
    plot.append(group);
  });
  const label = makeSvg("text", { x: (LEFT + RIGHT) / 2, y: HEIGHT - 6 }, "epoch");
  const turned = { transform: `translate(14 ${(TOP + BOTTOM) / 2}) rotate(-90)` };
  svg.append(up, across, label, makeSvg("text", turned, axis), plot);
  return make("div", { className: "panel" }, make("p", { textContent: title }), svg);
}

/** Powers of ten between two logarithms, with 2 and 5 times these where there are few. */
function logTicks(low, high) {
  const steps = high - low < 2.5 ? [1, 2, 5] : [1];
  const decades = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, place) => Math.floor(low) + place);
  const values = decades.flatMap((decade) => steps.map((step) => Number(`${step}e${decade}`)));
  return values.filter((value) => Math.log10(value) >= low && Math.log10(value) <= high);
}

function curvesOf(both) {
  const panels = both[0].curves.map((_, place) => panelOf(both, place)).filter((panel) => panel !== null);
  if (!panels.length) return [];
  const keys = NAMES.map((name, number) => {
    const sample = makeSvg("svg", { viewBox: "0 0 24 10", class: `l${number}`, "aria-hidden": "true" });
    sample.append(makeSvg("path", { class: "line", d: "M0 5H24" }));
    const key = make("span", { className: "key" }, sample, name);
    key.dataset.k = number;
    return key;
  });
  const caption = "Means over finished seeds with their 95 % intervals, of the epochs that all seeds have.";
  const legend = make("figcaption", {}, `${caption} `, make("span", { className: "keys" }, ...keys));
  const figure = make("figure", { className: "chart" }, make("div", { className: "panels several" }, ...panels), legend);
  answerIn(figure);
  return [figure];
}

function show(both) {
  const board = both[0].board;
  const named = both.map((method, number) => {
    const link = make("a", { href: `methods/${board}/${method.id}.html` }, make("code", { textContent: method.label }));
    return make("li", {}, `${NAMES[number]}: `, link);
  });
  const words = `sgbench board explain ${both.map((method) => method.id).join(" ")} --from leaderboards --protocol ${board}`;
  const command = make("pre", { tabIndex: 0 }, make("code", { textContent: words }));
  const lead = make("p", { className: "lead" }, "On ", make("a", { href: `protocols/${board}.html`, textContent: board }), ":");
  const told = make("p", { className: "answer", textContent: verdict(...both) });
  shown.replaceChildren(lead, make("ul", {}, ...named), told, figuresOf(...both), ...curvesOf(both), settingsOf(...both), command);
  addCopying(command);
}

/** Load what is known of a method; its script adds itself to `methods`. */
function load(board, id) {
  return new Promise((done, failed) => {
    const known = () => self.methods?.find((method) => method.id === id && method.board === board);
    if (known()) done(known());
    else {
      const script = make("script", { src: `methods/${board}/${id}.js` });
      script.addEventListener("load", () => done(known()));
      script.addEventListener("error", failed);
      document.head.append(script);
    }
  });
}

async function begin() {
  const asked = location.hash;
  const [board, ...ids] = ["board", "first", "second"].map((name) => address.get(name) ?? "");
  if (![board, ...ids].every((name) => PLAIN.test(name))) {
    shown.replaceChildren();
    return;
  }
  const both = await Promise.all(ids.map((id) => load(board, id))).catch(() => [undefined]);
  if (location.hash !== asked) return; // another pair was asked for while this one was read
  if (both.every(Boolean)) show(both);
  else shown.replaceChildren(make("p", { className: "notice", textContent: "This site has no two such methods on that board." }));
}

addEventListener("hashchange", begin);
begin();
