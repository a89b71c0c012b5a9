// What a person says of an answer, where the server keeps photos: the right drug for each pill, or that there is none.

/** The part of a pill's card that asks whether the answer is right. */
function correction(pill, index) {
  const { answer } = state.view;
  if (!answer.kept) return null;
  answer.said ??= answer.pills.map(() => null);
  const says = (drug) => () => judge(index, drug);
  const best = pill.candidates[0];
  const right = make("button", { type: "button", text: say("sayIs", { name: best.name }) });
  const none = make("button", { type: "button", text: say("sayNone") });
  const field = make("input", { id: `drug-${index}`, autocomplete: "off", spellcheck: false });
  field.setAttribute("list", "drugs");
  const label = make("label", { text: say("sayOther") });
  label.htmlFor = field.id;
  const said = make("p", { className: "note said", text: saidOf(answer.said[index]) });
  right.addEventListener("click", says(best.k_code));
  none.addEventListener("click", says("none"));
  field.addEventListener("change", () => judge(index, codeOf(field.value)));
  const row = make("div", { className: "row" }, pill.verdict !== "unknown" && right, none);
  return make("details", { className: "correct" }, make("summary", { text: say("sayTitle") }), row, label, field, said);
}

/** The K-code in what was chosen or typed: a drug of the model, or K- and six digits; undefined for anything else. */
function codeOf(text) {
  const typed = text.trim();
  const drugs = state.model?.classes ?? [];
  const found = drugs.find(({ k_code, name }) => [k_code, name, drugWords({ k_code, name })].includes(typed));
  return found?.k_code ?? typed.match(/^K-\d{6}$/)?.[0];
}

function drugWords({ k_code, name }) {
  return name === k_code ? k_code : `${k_code} ${name}`;
}

function saidOf(drug) {
  if (drug === undefined) return say("sayWhich");
  if (drug === null) return "";
  const found = (state.model?.classes ?? []).find(({ k_code }) => k_code === drug);
  return drug === "none" ? say("saidNone") : say("said", { name: drugWords(found ?? { k_code: drug, name: drug }) });
}

function judge(index, drug) {
  const { answer } = state.view;
  answer.said[index] = drug ?? null;
  document.querySelectorAll(".said")[index].textContent = saidOf(drug);
  announce(saidOf(drug));
}

/** The card below all pills, which sends what was said. */
function corrections({ answer }) {
  if (!answer.kept) return null;
  const options = (state.model?.classes ?? []).map((drug) => make("option", { value: drugWords(drug) }));
  const whole = make("input", { id: "whole", type: "checkbox" });
  const send = make("button", { type: "button", className: "primary", text: say("saySend") });
  const told = make("p", { id: "told", className: "note" });
  told.setAttribute("role", "status");
  send.addEventListener("click", () => sendCorrections(answer, whole.checked));
  const words = answer.pills.length ? "sayWhole" : "sayEmpty";
  const label = make("label", { className: "whole" }, whole, make("span", { text: say(words) }));
  return make("div", { className: "card corrections" }, make("datalist", { id: "drugs" }, ...options), label, send, told);
}

async function sendCorrections(answer, complete) {
  const body = JSON.stringify({ kept: answer.kept, drugs: answer.said ?? [], complete });
  const told = $("told");
  try {
    const reply = await fetch("v1/corrections", {
      method: "POST",
      headers: { ...headers(), "Content-Type": "application/json" },
      body,
    });
    const { labels } = reply.ok ? await reply.json() : {};
    told.textContent = say(!reply.ok ? "sayFailed" : labels || complete ? "sayThanks" : "sayNothing");
  } catch {
    told.textContent = say("sayFailed");
  }
}
