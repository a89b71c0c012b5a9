// Talking to the server, and what the person does.

function headers() {
  return state.key ? { "X-API-Key": state.key } : {};
}

async function start() {
  try {
    state.limits = await (await fetch("v1/health")).json();
    if (state.limits.api_key_required && !state.key) return show({ name: "key" });
    await readModel();
    show({ name: "empty" });
  } catch {
    show({ name: "error", kind: "unreachable", retry: start });
  }
}

/** What the model says of itself; false where the server does not accept the key. */
async function readModel() {
  const reply = await fetch("v1/model", { headers: headers() });
  if (reply.status === 401) return false;
  state.model = reply.ok ? await reply.json() : null;
  return true;
}

async function useKey(event) {
  event.preventDefault();
  state.key = $("key-field").value.trim();
  try {
    if (!(await readModel())) return refuseKey();
  } catch {
    return show({ name: "error", kind: "unreachable", retry: () => show({ name: "key" }) });
  }
  $("key-field").value = "";
  if (state.photo) return identify();
  show({ name: "empty" });
  $("choose").focus();
}

function refuseKey() {
  state.key = "";
  show({ name: "key", wrong: true });
  $("key-field").select();
  $("key-field").focus();
}

function take(photo) {
  if (!photo || $("ask").hidden) return;
  state.photo = photo;
  forgetOther();
  drawing.shown = false;
  drawing.ready = showPhoto(photo);
  identify();
}

async function showPhoto(photo) {
  URL.revokeObjectURL($("photo").src);
  $("photo").src = URL.createObjectURL(photo);
  const shown = await $("photo").decode().then(() => true, () => false);
  if (state.photo !== photo) return;
  Object.assign(drawing, { shown, width: $("photo").naturalWidth, height: $("photo").naturalHeight });
  renderPicture();
}

function identify() {
  state.request?.abort();
  const photos = [state.photo, state.other].filter(Boolean);
  if (photos.reduce((sum, { size }) => sum + size, 0) > state.limits.max_bytes) return fail({ kind: "too_many_bytes" });
  const request = new XMLHttpRequest();
  const form = new FormData();
  for (const photo of photos) form.append("photo", photo);
  form.append("mode", document.querySelector("[name=mode]:checked").value);
  request.open("POST", "v1/identify");
  for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
  request.upload.addEventListener("progress", ({ loaded, total }) => progress(loaded / total));
  request.addEventListener("load", () => finish(request));
  request.addEventListener("error", () => fail({ kind: "unreachable" }));
  state.request = request;
  const focused = document.activeElement;
  show({ name: "loading", sent: 0 });
  announce(say("looking"));
  if (focused === document.body || !focused.getClientRects().length) $("outcome-title").focus({ preventScroll: true });
  request.send(form);
}

/** Redraws the waiting card when the photo has arrived; before that only the bar moves. */
function progress(sent) {
  if (state.view.name !== "loading") return;
  state.view.sent = sent;
  const bar = document.querySelector("progress");
  if (sent < 1) bar.value = sent;
  else {
    bar.removeAttribute("value");
    $("outcome-title").textContent = say("looking");
    bar.setAttribute("aria-label", say("looking"));
  }
}

function cancelRequest() {
  state.request.abort();
  state.request = state.photo = state.other = null;
  show({ name: "empty" });
  announce(say("cancelled"));
  $("choose").focus();
}

async function finish(request) {
  const { status, responseText } = request;
  await drawing.ready;
  if (request !== state.request) return;
  const reply = parsed(responseText);
  if (status === 200 && reply) {
    conclude({ name: "result", answer: reply });
    const words = counts(reply.pills).map(counted);
    const found = words.length ? [pillCount(reply.pills.length), ...words].join(", ") : say("noneTitle");
    return announce(reply.more_pills ? `${found}. ${morePills()}` : found);
  }
  if (status === 401) return refuseKey();
  const { code, message, cure } = reply?.error ?? {};
  fail({ kind: code in WORDS.en.errors ? code : "other", message, cure });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function fail(view) {
  const again = !/^(photo_|too_many_bytes|not_one_pill|same_photo)/.test(view.kind);
  conclude({ name: "error", ...view, retry: again && identify });
  announce(sayError(view.kind).join(". "));
}

/** Shows what came of a question; the keyboard's place moves along if it was on what has gone. */
function conclude(view) {
  const waited = $("outcome").contains(document.activeElement);
  show(view);
  if (waited) $("outcome-title").focus({ preventScroll: true });
}

// ---- what the person does

function listen() {
  for (const [button, input] of [["choose", "file"], ["camera", "shot"]]) {
    $(button).addEventListener("click", () => $(input).click());
    $(input).addEventListener("change", ({ target }) => {
      take(target.files[0]);
      target.value = "";
    });
  }
  $("back").addEventListener("change", ({ target }) => {
    takeOther(target.files[0]);
    target.value = "";
  });
  for (const radio of document.querySelectorAll("[name=mode]"))
    radio.addEventListener("change", () => {
      forgetOther();
      if (state.photo) identify();
    });
  for (const button of document.querySelectorAll("[data-language]"))
    button.addEventListener("click", () => {
      state.language = button.dataset.language;
      render();
    });
  $("key").addEventListener("submit", useKey);
  new ResizeObserver(placeTags).observe($("boxes"));
  for (const event of ["dragenter", "dragover", "dragleave", "drop"]) addEventListener(event, drag);
}

function drag(event) {
  event.preventDefault();
  const over = event.type === "dragover" || event.type === "dragenter";
  document.body.classList.toggle("over", over && !$("ask").hidden);
  if (event.type === "drop") take(event.dataTransfer.files[0]);
}

state.language = navigator.language.toLowerCase().startsWith("ko") ? "ko" : "en";
$("camera").hidden = !matchMedia("(any-pointer: coarse)").matches;
listen();
render();
start();
