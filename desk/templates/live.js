"use strict";
// Keeps the page as the desk tells it (desk/live_stream.py): elements are put in place by their ids.
// Rule: what is not known to be of now never looks as if it were: silence is said, in words.
(() => {
  const told = document.body.dataset;
  const lost = document.getElementById("lost");
  const since = lost.querySelector("strong");
  const why = lost.querySelector("span");
  const words = since.textContent;
  const PATIENCE_MS = 15_000; // three beats, BEAT_S in desk/live_stream.py
  const AGAIN_MS = 2_000;
  let place = told.at;
  let clock = { desk: Number(told.now), mine: performance.now() };
  let heard = performance.now();
  let source = null;

  // -- ages --------------------------------------------------------------------------------------------

  const MIN = 60_000;
  const HOUR = 60 * MIN;
  const DAY = 24 * HOUR;

  function age(at, now) {
    const ago = now - at;
    if (ago < MIN) return told.ageNow;
    if (ago < HOUR) return told.ageMin.replace("#", Math.floor(ago / MIN));
    if (ago < 2 * DAY) return told.ageH.replace("#", Math.floor(ago / HOUR));
    return told.ageD.replace("#", Math.floor(ago / DAY));
  }

  function tellAges() {
    const now = clock.desk + (performance.now() - clock.mine) * Number(told.rate);
    for (const node of document.querySelectorAll("time.age[datetime]")) {
      const text = age(Date.parse(node.dateTime), now);
      if (node.textContent !== text) node.textContent = text;
    }
  }

  /** Date and time of the last news, as the desk writes them (desk/speech.py). */
  function newest() {
    const [date, time] = new Date(clock.desk).toISOString().split("T");
    return { date, time: `${time.slice(0, 8)} UTC` };
  }

  // -- elements ----------------------------------------------------------------------------------------

  function made(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html;
    return holder.content.firstElementChild;
  }

  /** Put a new element in the place of the old one, with what the reader has opened and where the focus is. */
  function swap(old, fresh) {
    const opened = old.querySelectorAll("details");
    fresh.querySelectorAll("details").forEach((node, at) => {
      if (opened[at]) node.open = opened[at].open;
    });
    for (const blank of fresh.querySelectorAll("time.age[id]")) {
      const same = document.getElementById(blank.id);
      if (same) blank.dateTime = same.dateTime;
    }
    const focused = [...old.querySelectorAll("a, summary")].indexOf(document.activeElement);
    old.replaceWith(fresh);
    if (focused >= 0) fresh.querySelectorAll("a, summary")[focused]?.focus({ preventScroll: true });
  }

  function order(list, names, fresh) {
    const wanted = new Set(names);
    for (const node of [...list.children]) if (!wanted.has(node.id)) node.remove();
    let next = list.firstElementChild;
    for (const name of names) {
      const node = fresh.get(name) ?? document.getElementById(name);
      if (node === next) {
        next = next.nextElementSibling;
      } else {
        if (fresh.has(name)) node.classList.add("arrived");
        list.insertBefore(node, next);
      }
    }
  }

  function take(parts) {
    const fresh = new Map();
    const of = (sort) => Object.entries(parts).filter(([, part]) => sort(part));
    for (const [name, html] of of((part) => typeof part === "string")) {
      const old = document.getElementById(name);
      if (old) swap(old, made(html));
      else fresh.set(name, made(html));
    }
    for (const [name, names] of of(Array.isArray)) order(document.getElementById(name), names, fresh);
    for (const [name, at] of of((part) => typeof part === "number")) {
      const node = document.getElementById(name);
      if (node) node.dateTime = new Date(at).toISOString();
    }
  }

  // -- the line ----------------------------------------------------------------------------------------

  function lose(reason) {
    why.textContent = reason;
    if (!lost.hidden) return;
    since.textContent = words.replace("#", newest().time);
    lost.hidden = false;
    document.getElementById("live").hidden = true;
    document.title = `⚠ ${document.title}`;
  }

  function find() {
    lost.hidden = true;
    document.getElementById("live").hidden = false;
    document.title = document.title.replace(/^⚠ /, "");
  }

  function takeEvent(message) {
    heard = performance.now();
    const news = JSON.parse(message.data);
    if (news.build !== told.build) {
      location.reload(); // the desk was updated, and answers
      return;
    }
    place = message.lastEventId;
    if (news.now !== clock.desk) clock = { desk: news.now, mine: heard };
    take(news.parts);
    find();
    document.getElementById("now").textContent = `${newest().date} ${newest().time}`;
    tellAges();
  }

  function follow() {
    heard = performance.now();
    const mark = told.live.includes("?") ? "&" : "?";
    const address = `${told.live}${mark}at=${encodeURIComponent(place)}`;
    let opened = false;
    source = new EventSource(address);
    source.onopen = () => (opened = true);
    source.onmessage = takeEvent;
    source.addEventListener("trouble", (message) => {
      heard = performance.now();
      lose(JSON.parse(message.data));
    });
    source.onerror = () => {
      again();
      if (!opened) askWhy(address);
    };
  }

  /** A refused stream does not tell its reason to a script; the same address asked plainly does. */
  async function askWhy(address) {
    const answer = await fetch(address, { signal: AbortSignal.timeout(AGAIN_MS) }).catch(() => null);
    if (answer?.ok) answer.body.cancel();
    else if (answer) why.textContent = await answer.text();
  }

  function again() {
    source.close();
    source = null;
    lose("");
    setTimeout(follow, AGAIN_MS);
  }

  setInterval(() => {
    tellAges();
    if (source && performance.now() - heard > PATIENCE_MS) again();
  }, 1_000);
  follow();
})();
