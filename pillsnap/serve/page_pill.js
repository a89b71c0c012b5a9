// One pill of an answer: what it is called, how sure that is, and what else it may be.

function heading({ verdict, candidates, prediction_set: possible }) {
  if (verdict === "known") return candidates[0].name;
  if (verdict === "unknown") return say("unknownTitle");
  if (possible.length === 1) return say("uncertainOne", { name: possible[0].name });
  return say("uncertainTitle", { count: number(possible.length) });
}

/** For those who hear the page: Korean names are read as Korean whatever the page's language. */
function languageOf(name) {
  return /\p{Script=Hangul}/u.test(name) ? "ko" : state.language;
}

function sentence({ verdict, prediction_set: possible }) {
  const { photos, calibrated, agree } = state.view.answer;
  const { coverage } = state.model ?? {};
  const precision = photos ? state.model?.pair_precision : state.model?.precision;
  if (agree === false) return say("addSideApart");
  if (verdict === "unknown") return say("unknownSays");
  if (possible[0]?.references) return say("enrolledSays");
  if (photos && !calibrated) return say("addSideNever");
  if (verdict === "known") return precision ? say("knownSays", { precision: promise(precision) }) : say("knownSaysPlain");
  if (possible.length === 1 || !coverage) return say("uncertainOneSays");
  return say("uncertainSays", { coverage: promise(coverage) });
}

function card(pill, place, total) {
  const picture = make("canvas", { width: 144, height: 144 });
  picture.setAttribute("aria-hidden", "true");
  picture.dataset.box = pill.box.join(" ");
  const one = pill.verdict === "known" || pill.prediction_set.length === 1;
  const best = pill.candidates[0];
  const title = heading(pill);
  const language = pill.verdict === "known" ? languageOf(title) : state.language;
  const words = make(
    "div",
    { className: "words" },
    make("p", { className: "kicker" }, total > 1 && placeOf(place), badge(pill.verdict)),
    make("h3", { text: title, lang: language }),
    one && codes(best),
    make("p", { className: "says", text: sentence(pill) }),
    whatWasRead(pill),
  );
  const sure = one && make("p", { className: "sure" }, ...howSure(best));
  const item = make("li", { id: `pill-${place}`, tabIndex: -1, className: `pill ${pill.verdict}` });
  item.append(make("div", { className: "head" }, drawing.shown && picture, words, sure || ""), ...alternatives(pill, one, total));
  item.append(lookUp(pill, place - 1) ?? "", correction(pill, place - 1) ?? "");
  for (const [event, on] of [["mouseenter", true], ["mouseleave", false], ["focus", true], ["blur", false]])
    item.addEventListener(event, () => $("boxes").children[place - 1]?.classList.toggle("marked", on));
  return item;
}

/** How sure a drug is; of one that was added from photos, no share was measured. */
function howSure({ confidence, references }) {
  if (references) return [make("b", { text: number(references) }), make("span", { text: say("references") })];
  return [make("b", { text: percent(confidence) }), make("span", { text: say("confidence") })];
}

function placeOf(place) {
  const number = make("span", { className: "number", text: place });
  number.setAttribute("aria-hidden", "true");
  return make("span", {}, hidden(say("pill", { number: place })), number);
}

/** Words for those who hear the page. */
function hidden(text) {
  return make("span", { className: "sr", text });
}

function alternatives({ verdict, candidates, prediction_set: possible }, one, total) {
  if (verdict === "unknown") {
    const note = make("p", { className: "note", text: say("looksLikeNote") });
    return [make("div", { className: "list" }, make("h4", { text: say("looksLike") }), note, bars(candidates))];
  }
  if (one) return [folded(say("candidates"), candidates, total === 1)];
  const first = bars(possible.slice(0, 5));
  const rest = possible.length > 5 && folded(say("allOfSet", { count: number(possible.length) }), possible);
  const outside = candidates.filter((drug) => !possible.some(({ k_code }) => k_code === drug.k_code));
  return [make("div", { className: "list" }, first), rest || (outside.length && folded(say("lessLikely"), outside))].filter(Boolean);
}

function folded(words, drugs, open = false) {
  return make("details", { open }, make("summary", { text: words }), bars(drugs));
}

function bars(drugs) {
  return make("ol", { className: "bars" }, ...drugs.map(bar));
}

function bar(drug) {
  const length = make("i");
  length.style.width = `${100 * drug.confidence}%`;
  const text = drug.references ? `${say("references")}: ${number(drug.references)}` : percent(drug.confidence);
  const share = make("span", { className: "share", text }, !drug.references && hidden(` ${say("confidence")}`));
  const name = make("b", { text: drug.name, lang: languageOf(drug.name) });
  return make("li", {}, name, share, make("span", { className: "bar" }, length), codes(drug));
}

function codes({ k_code, edi_codes }) {
  const edi = edi_codes.length ? edi_codes.join(", ") : say("noEdi");
  const pairs = [[say("kCode"), k_code], [say(edi_codes.length > 1 ? "ediCodes" : "ediCode"), edi]];
  const pair = ([term, value]) => make("div", {}, make("dt", { text: term }), make("dd", { text: value }));
  return make("dl", { className: "codes" }, ...pairs.map(pair));
}

/** The pill, cut from the photo that the browser shows: a square around its box. */
function drawCrop(canvas) {
  const { width, height } = state.view.answer;
  const [x, y, w, h] = canvas.dataset.box.split(" ").map(Number);
  const scale = $("photo").naturalWidth / width;
  const side = Math.min(1.25 * Math.max(w, h), width, height);
  const left = Math.min(Math.max(x + w / 2 - side / 2, 0), width - side);
  const top = Math.min(Math.max(y + h / 2 - side / 2, 0), height - side);
  const from = [left, top, side, side].map((value) => value * scale);
  canvas.getContext("2d").drawImage($("photo"), ...from, 0, 0, canvas.width, canvas.height);
}
