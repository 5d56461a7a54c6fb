"use strict";
// Finds pages by words: all of them have to occur. The words are kept in the address.

const MOST = 60;
const AROUND = 70; // letters before the first word of an excerpt
const WEIGHTS = { surrogate: 6, neuron: 6, board: 5, page: 4, docs: 3, reference: 2, method: 1 };

const things = (self.searched ?? []).map(([title, path, kind, text]) => {
  return { title, path, kind, text, all: `${title} ${text} ${kind}`.toLowerCase() };
});

/** How well a thing fits: its title before its text, pages of entries and boards before single methods. */
function weigh({ title, kind }, words) {
  const name = title.toLowerCase();
  let weight = WEIGHTS[kind] ?? 0;
  if (name === words.join(" ")) weight += 100;
  for (const word of words) weight += name.startsWith(word) ? 20 : name.includes(word) ? 10 : 0;
  return weight;
}

/** Text with the words marked, cut to where the first of them is. */
function excerpt(text, words) {
  const lower = text.toLowerCase();
  const places = words.map((word) => lower.indexOf(word)).filter((place) => place >= 0);
  const from = Math.max(0, Math.min(...places, text.length) - AROUND);
  const start = from < AROUND ? 0 : from;
  const cut = `${start ? "... " : ""}${text.slice(start, start + 3 * AROUND)}${text.length > start + 3 * AROUND ? " ..." : ""}`;
  const escaped = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!escaped.length) return [cut];
  const parts = cut.split(new RegExp(`(${escaped.join("|")})`, "i"));
  return parts.map((part, place) => (place % 2 ? make("mark", {}, part) : part));
}

function find(text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = words.length ? things.filter(({ all }) => words.every((word) => all.includes(word))) : [];
  const weighed = fitting.map((thing) => [weigh(thing, words), thing]).sort(([a], [b]) => b - a);
  const shown = weighed.slice(0, MOST).map(([, thing]) => {
    const link = make("a", { href: thing.path }, ...excerpt(thing.title, words));
    return make("li", {}, link, make("span", { className: "kind" }, thing.kind), make("p", {}, ...excerpt(thing.text, words)));
  });
  document.getElementById("found").replaceChildren(...shown);
  const more = fitting.length > MOST ? `, the best ${MOST} shown` : "";
  document.querySelector("#search output").textContent = words.length ? `${fitting.length} found${more}` : "";
}

const input = make("input", { type: "search", id: "words", autocomplete: "off" });
const label = make("label", { htmlFor: "words", textContent: "Words" });
document.getElementById("search").append(label, input, make("output", { htmlFor: "words" }));
input.addEventListener("input", () => {
  address.set("words", input.value.trim());
  find(input.value);
});
input.value = address.get("words") ?? "";
addEventListener("hashchange", () => {
  input.value = address.get("words") ?? "";
  find(input.value);
});
find(input.value);
input.focus();
