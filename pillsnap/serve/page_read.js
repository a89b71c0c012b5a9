// What the model read of a pill: in words, and as what is looked up in the catalogue.

const SHOWN_FROM = 0.5; // confidence from which what was read is shown, and looked up

/** What was read of a pill in each of its photos; nothing from models that do not read. */
function readingsOf(pill) {
  return (state.view.answer.photos ?? [pill]).map(({ reading }) => reading).filter(Boolean);
}

function sure(reading, name) {
  return reading[`${name}_confidence`] >= SHOWN_FROM;
}

/** The part of a pill's card that tells it: a line for each photo, and whether the imprint speaks against the drug. */
function whatWasRead(pill) {
  const readings = readingsOf(pill);
  const words = readings.length > 1 ? ["readFirst", "readSecond"] : ["read"];
  const lines = readings.map((reading, index) => make("span", { text: say(words[index], { what: readWords(reading) }) }));
  // a pill without a name has no drug that could be contradicted
  const against = pill.verdict === "uncertain" && readings.some(({ contradicts }) => contradicts);
  const name = pill.candidates[0].name;
  return lines.length > 0 && make("p", { className: "read" }, ...lines, against && make("b", { text: say("readAgainst", { name }) }));
}

function readWords(reading) {
  const { colours, shapes } = WORDS[state.language];
  const found = sure(reading, "colours") ? reading.colours.map((colour) => colours[colour].toLowerCase()) : [];
  if (sure(reading, "shape")) found.push(shapes[reading.shape].toLowerCase());
  if (sure(reading, "imprint")) found.push(reading.imprint || say("readNoImprint"));
  else if (reading.characters) found.push(say("readSome", { characters: [...reading.characters].join(", ") }));
  return found.join(", ") || say("readNothing");
}

/** What to look up: the imprints of all sides; colours and shape where they were read most surely. */
function toLookUp(readings) {
  const surest = (name) => readings.filter((one) => sure(one, name)).sort((a, b) => b[`${name}_confidence`] - a[`${name}_confidence`])[0];
  const imprint = readings.filter((one) => sure(one, "imprint")).map((one) => one.imprint).join(" ").trim();
  const [colour, second] = surest("colours")?.colours ?? [];
  return { imprint, colour, second, shape: surest("shape")?.shape };
}
