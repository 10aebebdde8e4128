// Keeps the page that is shown up to date, and sends its forms without leaving it. Everything works without it, by reloading.
//
// There is no second way to draw: an event means that the same page is fetched once more, and the parts of it that are marked
// `data-live` are put in place of the old ones where they differ.

const KINDS = ["run_started", "run_ended", "verdicts", "schedule", "breaker", "asked", "reaction", "probe", "reloaded", "reload_refused", "lost"];
const BETWEEN_MS = 1000; // Between two fetches, however much happens.
const AGAIN_MS = 60000; // Times such as "4 min ago" grow old without an event.

const line = document.getElementById("live");
let fetchedAt = 0;
let planned = 0;

// Parts that are not there any more stay until the page is loaded anew; what somebody has the focus in is left alone.
function take(fresh) {
  for (const part of fresh.querySelectorAll("[data-live]")) {
    const old = document.getElementById(part.id);
    if (!old || old.outerHTML === part.outerHTML) continue;
    const held = old.contains(document.activeElement) ? document.activeElement : null;
    if (held && held.matches("input, textarea")) continue;
    const open = [...old.querySelectorAll("details")].map((one) => one.open);
    const place = held && ["action", "href"].map((name) => [name, (held.form || held).getAttribute(name)]).find(([, at]) => at);
    old.replaceWith(part);
    part.querySelectorAll("details").forEach((one, at) => { one.open = open[at] || false; });
    if (place) {
      const next = part.querySelector(`[${place[0]}="${CSS.escape(place[1])}"]`);
      if (next) (next.querySelector("button") || next).focus();
    }
  }
}

async function read(answer) {
  const text = await answer.text();
  return new DOMParser().parseFromString(text, "text/html");
}

async function refresh() {
  planned = 0;
  fetchedAt = Date.now();
  try {
    const answer = await fetch(location.pathname + location.search, { headers: { accept: "text/html" } });
    if (answer.ok) take(await read(answer));
    else if (answer.status === 401) location.reload();
  } catch {
    // The service is away; the listener says so, and comes back by itself.
  }
}

function soon() {
  if (planned || document.hidden) return;
  planned = setTimeout(refresh, Math.max(0, fetchedAt + BETWEEN_MS - Date.now()));
}

function say(isLive) {
  line.hidden = false;
  line.classList.toggle("off", !isLive);
  line.textContent = isLive ? "live" : "not live, trying again";
}

// Whether an event can change what is shown. The overview shows all pipelines, and how far each run is on its own page only.
function concerns(event) {
  const shown = location.pathname.match(/^\/pipelines\/([^/]+)$/);
  if (!shown) return location.pathname !== "/" || event.type !== "verdicts";
  const { pipeline } = JSON.parse(event.data);
  return !pipeline || pipeline === decodeURIComponent(shown[1]);
}

if (document.querySelector("[data-live]")) {
  const events = new EventSource("/api/v1/events");
  events.onopen = () => { say(true); soon(); };
  events.onerror = () => say(false);
  for (const kind of KINDS) events.addEventListener(kind, (event) => { if (concerns(event)) soon(); });
  document.addEventListener("visibilitychange", soon);
  setInterval(soon, AGAIN_MS);
  addEventListener("pagehide", () => events.close());
}

// A form's answer is a page too: the one that it leads to, or this one with a refusal.
document.addEventListener("submit", async (sent) => {
  const form = sent.target;
  if (form.method !== "post" || form.matches("[data-leaves]")) return;
  sent.preventDefault();
  const button = sent.submitter;
  const body = new URLSearchParams(new FormData(form, button));
  if (button) button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body, headers: { accept: "text/html" } });
    const fresh = await read(answer);
    const to = new URL(answer.url);
    if (answer.ok && to.pathname !== location.pathname) return location.assign(answer.url);
    // The element stays, so that what comes into it is read out.
    const notice = document.getElementById("notice");
    notice.replaceChildren(...fresh.getElementById("notice").childNodes);
    notice.scrollIntoView({ block: "nearest" });
    if (!answer.ok) return;
    if (fresh.querySelector("[data-live]")) return take(fresh);
    const main = document.getElementById("main");
    const parts = [...fresh.getElementById("main").childNodes].filter((part) => part.id !== "notice");
    [...main.childNodes].filter((part) => part !== notice).forEach((part) => part.remove());
    main.append(...parts);
    main.focus({ preventScroll: true });
  } catch {
    form.submit();
  } finally {
    if (button) button.disabled = false;
  }
});
