// The page as it was served is whole. This puts in what changes, as the server sends it.
"use strict";

const mostLines = 2000;
const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("bookctl", { createHTML: (html) => html })
  : { createHTML: (html) => html };
const at = (id) => document.getElementById(id);

// parse makes nodes of the server's HTML; the browser runs no script that is in it.
function parse(html) {
  return new DOMParser().parseFromString(policy.createHTML(html), "text/html").body;
}

// morph makes an element like a fresh one and leaves alone what is alike, so that what is
// selected, focused, scrolled or unfolded stays so.
function morph(old, fresh) {
  const kept = (name) => old.nodeName === "DETAILS" && name === "open";
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !kept(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  morphContents(old, fresh);
}

function morphContents(old, fresh) {
  const wanted = [...fresh.childNodes]; // they move over, some of them
  wanted.forEach((b, i) => {
    const a = old.childNodes[i];
    if (!a) old.append(b);
    else if (a.nodeType !== b.nodeType || a.nodeName !== b.nodeName || a.id !== b.id) old.replaceChild(b, a);
    else if (a.nodeType === Node.ELEMENT_NODE) morph(a, b);
    else if (a.data !== b.data) a.data = b.data;
  });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}

// ago is how long ago a time is, in words.
function ago(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 120) return s + " s ago";
  if (s < 7200) return Math.floor(s / 60) + " minutes ago";
  if (s < 172800) return Math.floor(s / 3600) + " hours ago";
  return Math.floor(s / 86400) + " days ago";
}

// ages turns times into how long ago they are, and marks the page's own as old.
function ages(root) {
  for (const time of root.querySelectorAll("time.age")) {
    if (!time.title) time.title = time.textContent;
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    let said = ago(seconds);
    if (time.id === "read") {
      const stale = seconds > 3 * Number(time.dataset.every) + 10;
      time.classList.toggle("stale", stale);
      if (stale) said += ", and not since";
    }
    if (time.textContent !== said) time.textContent = said;
  }
}

function show(sections) {
  for (const [id, html] of Object.entries(sections)) {
    const old = at(id);
    if (!old) continue;
    const fresh = parse(html);
    ages(fresh);
    morphContents(old, fresh);
    if (old.nodeName === "SECTION") old.hidden = html === "";
  }
}

const lines = at("lines");
const filter = at("filter");
const follow = at("follow");
let position = lines.dataset.after;

function element(name, text, attributes = {}) {
  const e = document.createElement(name);
  e.textContent = text;
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

const wanted = (line) => line.textContent.toLowerCase().includes(filter.value.toLowerCase());

function addLines({ anew, missed, lines: more }) {
  if (anew) lines.replaceChildren();
  const added = document.createDocumentFragment();
  if (missed > 0) added.append(element("p", missed + " lines are left out: they come faster than they can be shown", { class: "gap" }));
  for (const l of more) {
    const p = document.createElement("p");
    p.append(element("time", l.clock, { datetime: l.time }), " ", element("b", l.task), " ", element("span", l.text));
    p.hidden = !wanted(p);
    added.append(p);
  }
  lines.append(added);
  const extra = lines.childElementCount - mostLines;
  if (extra > 0 && (follow.checked || extra > mostLines)) {
    const top = lines.scrollTop, height = lines.scrollHeight;
    for (let i = 0; i < extra; i++) lines.firstChild.remove();
    lines.scrollTop = top - (height - lines.scrollHeight); // what is read stays where it is
  }
  toEnd();
}

// settled is where the page itself scrolled the lines to, and place the line that was read
// when the filter began to change.
let settled, place;

function toEnd() {
  if (follow.checked) lines.scrollTop = lines.scrollHeight;
  settled = lines.scrollTop;
}

// below is how far below the top of what is seen a line begins.
const below = (p) => p.getBoundingClientRect().top - lines.getBoundingClientRect().top - lines.clientTop;

filter.addEventListener("input", () => {
  const all = [...lines.children];
  if (!place || !place.line.isConnected) {
    const line = all.find((p) => !p.hidden && below(p) > -p.offsetHeight);
    place = line && { line, below: below(line) };
  }
  for (const p of all) p.hidden = !wanted(p);
  if (place) {
    const at = all.indexOf(place.line);
    const line = all.slice(at).find((p) => !p.hidden) || all.slice(0, at).findLast((p) => !p.hidden);
    if (line) lines.scrollTop += below(line) - place.below;
  }
  toEnd();
});
follow.addEventListener("change", toEnd);
// To scroll up is to read; to scroll to the end is to follow. The page's own scrolling is neither.
lines.addEventListener("scroll", () => {
  if (lines.scrollTop === settled) return;
  settled = place = undefined;
  follow.checked = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 24;
});
at("controls").hidden = false;

let source, losing;

function connect() {
  if (source) return;
  source = new EventSource("live?after=" + encodeURIComponent(position));
  source.addEventListener("open", found);
  source.addEventListener("error", lost);
  source.addEventListener("state", (event) => {
    const { title, sections } = JSON.parse(event.data);
    document.title = title;
    show(sections);
  });
  source.addEventListener("lines", (event) => {
    position = event.lastEventId;
    addLines(JSON.parse(event.data));
  });
}

function disconnect() {
  if (source) source.close();
  source = undefined;
}

function found() {
  clearTimeout(losing);
  losing = undefined;
  at("lost").replaceChildren();
}

// lost waits a little: a stream that ends is opened again by the browser.
function lost() {
  if (source && source.readyState === EventSource.CLOSED) {
    disconnect(); // the browser does not try again after an answer that is no stream
    setTimeout(() => { if (!document.hidden) connect(); }, 3000);
  }
  losing ||= setTimeout(() => {
    at("lost").replaceChildren(element("h2", "bookctl does not answer"),
      element("p", "What is below is old. Where 'bookctl ui' has ended, run it again and open the address that it prints."));
  }, 2500);
}

// A page that nobody sees asks for nothing.
document.addEventListener("visibilitychange", () => {
  if (document.hidden) disconnect();
  else connect();
});
ages(document);
setInterval(() => ages(document), 1000);
toEnd();
if (!document.hidden) connect();
