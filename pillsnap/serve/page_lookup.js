// Looking up a pill that the model does not recognise: what a person reads of it, and the drugs that look alike.

const LOOK_UP_AFTER = 250; // ms without a further letter
const DIFFERS = -1; // of a part's score: what was read is less than half as likely as of a drug that looks so

/** The part of a card where a pill that has no name, or several, is looked up; what was read of it is filled in. */
function lookUp(pill, index) {
  const readings = readingsOf(pill);
  const offered = pill.verdict === "unknown" || (pill.verdict === "uncertain" && readings.length);
  if (!offered || !state.limits?.catalogue) return null;
  const { answer } = state.view;
  answer.lookUps ??= [];
  const one = (answer.lookUps[index] ??= { read: toLookUp(readings), found: null, words: "" });
  const told = make("p", { className: "note", text: wordsOf(one) });
  told.setAttribute("role", "status");
  const list = make("ol", { className: "alike" });
  one.show = () => {
    told.textContent = wordsOf(one);
    list.replaceChildren(...(one.found?.alike ?? []).map(alike));
  };
  one.show();
  if (!one.request) askCatalogue(one);
  const fields = [
    typed(one, index, "imprint"),
    chosen(one, index, "colour", "colours"),
    chosen(one, index, "second", "colours"),
    chosen(one, index, "shape", "shapes"),
    typed(one, index, "length"),
  ];
  const title = make("h4", { text: say(pill.verdict === "unknown" ? "lookUpTitle" : "lookUpUncertain") });
  const why = make("p", { className: "note", text: say(readings.length ? "lookUpRead" : "lookUpWhy") });
  return make("div", { className: "list look-up" }, title, why, make("div", { className: "fields" }, ...fields), told, list);
}

function typed(one, index, name) {
  const field = make("input", { autocomplete: "off", spellcheck: false, maxLength: 60 });
  field.autocapitalize = "characters";
  if (name === "length") field.inputMode = "decimal";
  return labelled(one, index, name, field, "input");
}

function chosen(one, index, name, words) {
  const options = Object.entries(WORDS[state.language][words]).map(([value, text]) => make("option", { value, text }));
  return labelled(one, index, name, make("select", {}, make("option", { value: "", text: say("lookUpAny") }), ...options), "change");
}

function labelled(one, index, name, field, event) {
  field.id = `look-up-${name}-${index}`;
  field.value = one.read[name] ?? "";
  field.addEventListener(event, () => {
    one.read[name] = field.value.trim();
    clearTimeout(one.timer);
    one.timer = setTimeout(() => askCatalogue(one), event === "input" ? LOOK_UP_AFTER : 0);
  });
  const label = make("label", { text: say(`lookUp_${name}`) });
  label.htmlFor = field.id;
  return make("div", { className: name }, label, field);
}

async function askCatalogue(one) {
  one.request?.abort();
  const { imprint, colour, second, shape, length } = one.read;
  const colours = [colour, second].filter(Boolean).join(",");
  const read = { imprint, colour: colours, shape, length: length?.replace(",", ".") };
  const given = Object.entries(read).filter(([, value]) => value);
  if (!given.length) return tell(one, null, "");
  const request = (one.request = new AbortController());
  try {
    const query = new URLSearchParams([...given, ["limit", 10]]);
    const reply = await fetch(`v1/catalogue?${query}`, { headers: headers(), signal: request.signal });
    const found = reply.ok ? await reply.json() : null;
    tell(one, found, !found ? "lookUpFailed" : found.alike.length ? "lookUpFound" : "lookUpNone");
  } catch {
    if (!request.signal.aborted) tell(one, null, "lookUpFailed");
  }
}

function tell(one, found, words) {
  Object.assign(one, { found, words });
  one.show();
}

function wordsOf({ found, words }) {
  return words && say(words, { count: number(found?.alike.length ?? 0) });
}

/** A drug of the catalogue: its looks, and what of them is not as it was read. */
function alike({ drug, parts }) {
  const { colours, shapes, looks: names } = WORDS[state.language];
  const sizes = [drug.length, drug.width, drug.thickness].filter(Boolean).map((size) => number(size));
  const looks = [drug.colours.map((colour) => colours[colour]).join(" / "), shapes[drug.shape], sizes.length && `${sizes.join(" × ")} mm`];
  const differs = Object.keys(parts).filter((part) => parts[part] < DIFFERS);
  const code = drug.code && `${say(`lookUp_${drug.code_kind}`)} ${drug.code}`;
  return make(
    "li",
    {},
    make("b", { text: drug.name, lang: languageOf(drug.name) }),
    make("span", { className: "imprints", text: [drug.front, drug.back].filter(Boolean).join(" / ") }),
    make("span", { text: looks.filter(Boolean).join(" · ") }),
    make("span", { className: "note", text: [drug.maker, code].filter(Boolean).join(" · ") }),
    differs.length ? make("span", { className: "differs", text: say("lookUpDiffers", { what: differs.map((part) => names[part]).join(", ") }) }) : null,
  );
}
