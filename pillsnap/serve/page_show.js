// What is on the page, by `state`: words, the photo with its boxes, and what came of the question.
const $ = (id) => document.getElementById(id);
const main = document.querySelector("main");
// the photo as the browser shows it, upright; `ready` once it is known whether it can
const drawing = { width: 0, height: 0, shown: false, ready: null };
const state = { language: "en", key: "", limits: null, model: null, photo: null, other: null, request: null, view: { name: "start" } };

// ---- words and elements: everything that comes from the server goes in as text, never as markup

function fill(words, values) {
  return words.replace(/\{(\w+)\}/g, (_, key) => values[key]);
}

function say(name, values = {}) {
  return fill(WORDS[state.language][name], values);
}

/** What went wrong and what helps, by the code that the server gives. */
function sayError(kind) {
  const { max_bytes: bytes, max_pixels: pixels } = state.limits ?? {};
  const values = { megabytes: number(bytes / 1e6), megapixels: number(pixels / 1e6) };
  return WORDS[state.language].errors[kind].map((words) => fill(words, values));
}

function make(tag, { text, ...properties } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  Object.assign(element, properties);
  element.append(...children.filter(Boolean));
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

function badge(verdict) {
  return make("span", { className: "badge" }, icon(verdict), make("span", { text: say(verdict) }));
}

function number(value, options) {
  return new Intl.NumberFormat(state.language, options).format(value);
}

/** A share in percent, never rounded to a certainty that it is not. */
function percent(share) {
  const written = (value) => number(value, { style: "percent", maximumFractionDigits: 1 });
  if (share > 0.999) return `> ${written(0.999)}`;
  return share < 0.001 ? `< ${written(0.001)}` : written(share);
}

function promise(share) {
  return number(share, { style: "percent", maximumFractionDigits: 2 });
}

function pillCount(count) {
  return count === 1 ? say("one") : say("many", { count: number(count) });
}

function announce(text) {
  $("live").textContent = text;
}

// ---- the page

function show(view) {
  state.view = view;
  render();
}

function render() {
  const { name } = state.view;
  document.documentElement.lang = state.language;
  document.title = `PillSnap: ${say("title")}`;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = say(wordOf(element));
  for (const button of document.querySelectorAll("[data-language]"))
    button.setAttribute("aria-pressed", String(button.dataset.language === state.language));
  main.dataset.view = name;
  $("key").hidden = name !== "key";
  $("ask").hidden = name === "key" || name === "start" || (name === "error" && !state.photo);
  $("work").hidden = !(state.photo && ["loading", "result", "error"].includes(name)) && name !== "error";
  $("choose").textContent = say(state.photo ? "another" : "choose");
  $("key-wrong").textContent = state.view.wrong ? say("keyWrong") : "";
  renderModel();
  renderPicture();
  renderOutcome();
}

/** What happens to a photo depends on whether the server keeps it. */
function wordOf({ dataset }) {
  return dataset.text === "privacy" && state.limits?.keeps ? "privacyKept" : dataset.text;
}

function renderModel() {
  const facts = state.model;
  $("model").textContent = facts ? say("model", { stage: facts.stage, drugs: number(facts.drugs) }) : "";
  const never = facts && facts.precision === null;
  const word = never ? "knownNever" : facts?.precision ? "knownMeans" : "knownMeansPlain";
  $("known-means").textContent = say(word, { precision: facts?.precision && promise(facts.precision) });
}

function renderPicture() {
  const { name, answer } = state.view;
  const pills = answer?.pills ?? [];
  const size = answer ?? drawing;
  const frame = document.querySelector(".frame");
  document.querySelector(".picture").hidden = !state.photo || (!drawing.shown && !answer);
  frame.classList.toggle("busy", name === "loading");
  frame.style.setProperty("--ratio", size.width && size.height ? size.width / size.height : 1);
  $("photo").hidden = !drawing.shown;
  $("photo").alt = pills.length ? say("photoOf", { count: pillCount(pills.length) }) : say("yourPhoto");
  $("blank").hidden = drawing.shown;
  $("boxes").replaceChildren(...pills.map((pill, index) => box(pill, index + 1, answer)));
  placeTags();
  renderOther();
  const facts = answer && !state.other && say("size", { width: answer.width, height: answer.height });
  $("caption").textContent = [state.photo?.name, state.other?.name, facts].filter(Boolean).join(" · ");
}

function box(pill, place, answer) {
  const button = make("button", { type: "button", className: `box ${pill.verdict}` });
  button.setAttribute("aria-label", say("box", { number: place, verdict: say(pill.verdict), name: heading(pill) }));
  button.append(make("span", { className: "tag" }, make("b", { text: place }), icon(pill.verdict), say(pill.verdict)));
  placeBox(button, pill.box, answer);
  button.addEventListener("click", () => $(`pill-${place}`).focus());
  return button;
}

/** Puts an element where a box lies in a photo of that size. */
function placeBox(element, [x, y, w, h], { width, height }) {
  Object.assign(element.style, {
    left: `${(100 * x) / width}%`,
    top: `${(100 * y) / height}%`,
    width: `${(100 * w) / width}%`,
    height: `${(100 * h) / height}%`,
  });
}

const PLACES = ["above", "above right", "below", "below right", "before", "after", "inside"];

/** Puts every tag where it covers the least of other pills and tags, and stays on the photo. */
function placeTags() {
  const boxes = [...$("boxes").children];
  const frame = $("boxes").getBoundingClientRect();
  const taken = [];
  for (const box of boxes) {
    const tag = box.firstChild;
    const others = [...boxes.filter((other) => other !== box).map((other) => other.getBoundingClientRect()), ...taken];
    const cost = (place) => {
      tag.dataset.place = place;
      const area = tag.getBoundingClientRect();
      const outside = area.width * area.height - shared(area, frame);
      const own = place === "inside" ? 0.5 * shared(area, box.getBoundingClientRect()) : 0;
      return others.reduce((sum, other) => sum + shared(area, other), outside + own);
    };
    const costs = PLACES.map((place) => [cost(place), place]);
    tag.dataset.place = costs.reduce((best, one) => (one[0] < best[0] ? one : best))[1];
    taken.push(tag.getBoundingClientRect());
  }
}

/** Pixels that two rectangles share. */
function shared(one, other) {
  const width = Math.min(one.right, other.right) - Math.max(one.left, other.left);
  const height = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
  return Math.max(0, width) * Math.max(0, height);
}

function renderOutcome() {
  const makers = { loading, result, error: failure };
  const content = makers[state.view.name]?.(state.view) ?? [];
  $("outcome").replaceChildren(...content.filter(Boolean));
  for (const canvas of $("outcome").querySelectorAll("canvas")) drawCrop(canvas);
}

function title(text) {
  return make("h2", { id: "outcome-title", tabIndex: -1, text });
}

function loading({ sent }) {
  const words = say(sent === 1 ? "looking" : "sending");
  const bar = make("progress", { max: 1 });
  bar.setAttribute("aria-label", words);
  if (sent < 1) bar.value = sent;
  const cancel = make("button", { type: "button", text: say("cancel") });
  cancel.addEventListener("click", cancelRequest);
  return [make("div", { className: "card waiting" }, title(words), bar, cancel)];
}

function result({ answer }) {
  if (!answer.pills.length) {
    const hint = answer.mode === "combo" && make("p", { text: say("noneMode", { mode: say("single") }) });
    return [make("div", { className: "card" }, title(say("noneTitle")), make("p", { text: say("none") }), hint), corrections({ answer })];
  }
  const cards = answer.pills.map((pill, index) => card(pill, index + 1, answer.pills.length));
  const list = make("ol", { className: "pills" }, ...cards);
  const more = answer.more_pills && make("p", { className: "summary", id: "more-pills", text: morePills() });
  return [title(pillCount(answer.pills.length)), summary(answer), more, list, offerOther({ answer }), corrections({ answer })];
}

function morePills() {
  return say("more", { mode: say("combo") });
}

function counts(pills) {
  return ["known", "uncertain", "unknown"]
    .map((verdict) => [verdict, pills.filter((pill) => pill.verdict === verdict).length])
    .filter(([, count]) => count);
}

function counted([verdict, count]) {
  return say("counted", { count: number(count), verdict: say(verdict).toLowerCase() });
}

function summary({ pills, photos }) {
  if (photos) return make("p", { className: "summary", text: say("together") });
  return pills.length > 1 && make("p", { className: "summary", text: counts(pills).map(counted).join(" · ") });
}

function failure({ kind, message, cure, retry }) {
  const [what, help] = sayError(kind);
  const box = make("div", { className: "card failed" }, title(what), make("p", { text: help }));
  if (message) {
    const told = make("p", { text: [message, cure].filter(Boolean).join(" "), lang: "en" });
    box.append(make("details", {}, make("summary", { text: say("details") }), told));
  }
  if (retry) {
    const again = make("button", { type: "button", className: "primary", text: say("retry") });
    again.addEventListener("click", retry);
    box.append(again);
  }
  box.append(firstAlone() ?? "");
  return [box];
}
