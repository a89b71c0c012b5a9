// The other side of a pill: a second photo, which gets one answer together with the first.

/** Asks about both photos; the first stays as it is. */
function takeOther(photo) {
  if (!photo || !state.photo) return;
  state.other = photo;
  URL.revokeObjectURL($("other").src);
  $("other").src = URL.createObjectURL(photo);
  identify();
}

function forgetOther() {
  state.other = null;
}

/** The card that offers it: for one pill, of which the model has seen one photo. */
function offerOther({ answer }) {
  if (answer.mode !== "single" || answer.pills.length !== 1 || answer.photos || answer.more_pills) return null;
  const add = make("button", { type: "button", id: "add-other", text: say("addSide") });
  add.addEventListener("click", () => $("back").click());
  const why = say(state.model?.pair_precision ? "addSideWhy" : "addSideNever");
  return make("div", { className: "card" }, make("p", { text: why }), add);
}

/** A way back where both photos together cannot be answered. */
function firstAlone() {
  if (!state.other) return null;
  const alone = make("button", { type: "button", text: say("firstAlone") });
  alone.addEventListener("click", () => {
    forgetOther();
    identify();
  });
  return alone;
}

function renderOther() {
  const { name, answer } = state.view;
  const frame = $("other-frame");
  const seen = state.other && answer?.photos?.[1];
  frame.hidden = !state.other;
  $("other-box").className = seen ? `box ${answer.pills[0].verdict}` : "";
  document.querySelector(".frames").classList.toggle("two", !frame.hidden);
  if (frame.hidden) return;
  frame.classList.toggle("busy", name === "loading");
  frame.style.setProperty("--ratio", seen ? seen.width / seen.height : 1);
  $("other").alt = say("otherPhoto");
  $("other-box").hidden = !seen;
  if (seen) placeBox($("other-box"), seen.box, seen);
}
