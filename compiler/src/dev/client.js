(() => {
  "use strict";
  const data = document.currentScript.dataset;
  const key = "kiln:" + location.pathname;
  const closedKey = key + " closed";
  let overlay = null;
  let noteMark = null;

  const kept = sessionStorage.getItem(key);
  if (kept !== null) {
    sessionStorage.removeItem(key);
    const [x, y] = kept.split(" ").map(Number);
    const back = () => scrollTo({ left: x, top: y, behavior: "instant" });
    addEventListener("DOMContentLoaded", back);
    addEventListener("load", back);
  }

  function reload() {
    sessionStorage.setItem(key, scrollX + " " + scrollY);
    location.reload();
  }

  function swapStyles() {
    for (const old of document.querySelectorAll("link[rel~=stylesheet]")) {
      const url = new URL(old.href, location);
      if (url.origin !== location.origin) continue;
      url.searchParams.set("kiln", Date.now());
      const fresh = old.cloneNode();
      fresh.removeAttribute("integrity");
      fresh.href = url;
      fresh.onload = fresh.onerror = () => old.remove();
      old.after(fresh);
    }
  }

  function element(name, text, style) {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (style) made.className = style;
    return made;
  }

  const css = `
    :host { all: initial; position: fixed; inset: 0; z-index: 2147483647; }
    .back { position: absolute; inset: 0; overflow: auto; padding: 0 16px; background: #000a; font: 15px/1.5 system-ui, sans-serif; }
    .box { max-width: 960px; margin: 4vh auto; outline: 0; border-radius: 10px; border-top: 6px solid #c62828; background: #fff; color: #1b1b1b;
      padding: 20px 24px; box-shadow: 0 10px 40px #0008; }
    h1 { font-size: 19px; margin: 0; display: flex; justify-content: space-between; gap: 16px; align-items: baseline; }
    button { font: 400 14px/1.5 system-ui, sans-serif; white-space: nowrap; flex: none; border: 1px solid #8888; border-radius: 6px; background: none; color: inherit; padding: 2px 11px; cursor: pointer; }
    section { margin-top: 20px; }
    h2 { font-size: 17px; margin: 0; overflow-wrap: anywhere; }
    .place { font: 13px/1.5 ui-monospace, monospace; color: #555; margin: 2px 0 8px; overflow-wrap: anywhere; }
    .code { font: 13px/1.6 ui-monospace, monospace; background: #f4f4f2; border-radius: 6px; padding: 8px 0; overflow-x: auto; margin: 0; }
    .code div { white-space: pre; min-width: max-content; padding: 0 12px; tab-size: 4; }
    .code .bad { background: #c6282814; }
    .code i { font-style: normal; display: inline-block; min-width: 3.5ch; margin-right: 1.5ch; text-align: right; color: #777; user-select: none; }
    .code b { font-weight: inherit; color: #b3121d; text-decoration: underline wavy; text-underline-offset: 3px; }
    .help { margin: 8px 0 0; } .help::before { content: "Help: "; font-weight: 600; }
    .foot { margin: 20px 0 0; font-size: 14px; color: #666; }
    .mark { position: absolute; right: 12px; bottom: 12px; white-space: nowrap; font: 600 13px/1 system-ui, sans-serif; background: #7a4f00; color: #fff; border-radius: 99px; padding: 8px 13px; }
    .note { position: fixed; left: 12px; bottom: 12px; font: 600 13px/1 system-ui, sans-serif; background: #7a4f00; color: #fff; border: 1px solid #fff; border-radius: 99px; padding: 8px 13px; }
    .note.wrong { background: #b3121d; }
    .note:focus-visible { outline: 3px solid #4c9ffe; }
    @media (prefers-color-scheme: dark) {
      .box { background: #1e1e1f; color: #eaeaea; } .place, .foot { color: #aaa; }
      .code { background: #121213; } .code i { color: #8a8a8a; } .code b { color: #ff8a80; } .code .bad { background: #ff8a801f; }
    }`;

  function host(child) {
    const outer = document.createElement("kiln-overlay");
    const root = outer.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    root.adoptedStyleSheets = [sheet];
    root.append(child);
    document.documentElement.append(outer);
    return outer;
  }

  function dismiss() {
    if (overlay) overlay.remove();
    overlay = null;
  }

  function showOne(mistake) {
    const section = element("section");
    section.append(element("h2", mistake.message));
    section.append(element("p", mistake.line ? `${mistake.file}:${mistake.line}:${mistake.column}` : mistake.file, "place"));
    if (mistake.source.length) {
      const code = element("div", "", "code");
      for (const line of mistake.source) {
        const row = element("div", "", line.mark ? "bad" : "");
        row.append(element("i", String(line.number)));
        const [start, end] = line.mark || [line.text.length, line.text.length];
        row.append(line.text.slice(0, start), element("b", line.text.slice(start, end)), line.text.slice(end) || " ");
        code.append(row);
      }
      section.append(code);
    }
    if (mistake.help) section.append(element("p", mistake.help, "help"));
    return section;
  }

  /** How many of what there are: "2 mistakes", "1 mistake and 1 warning". */
  function counted({ diagnostics, more }) {
    const wrong = diagnostics.filter((one) => one.severity === "error").length;
    if (more) return `${diagnostics.length + more} mistakes and warnings`;
    const of = (count, noun) => (count ? [`${count} ${noun}${count === 1 ? "" : "s"}`] : []);
    return [...of(wrong, "mistake"), ...of(diagnostics.length - wrong, "warning")].join(" and ");
  }

  function title(event) {
    if (event.type === "notes") return counted(event);
    const count = event.diagnostics.length + event.more;
    return count === 1 ? "One mistake keeps this page from being made" : `${count} mistakes keep this page from being made`;
  }

  function foot({ type, hasPage }) {
    if (type === "notes") return "The page is shown as it is. Save a mended file, and this goes away.";
    return hasPage ? "Behind this is the last version without mistakes. Save a mended file, and this goes away." : "Save a mended file, and the page appears.";
  }

  /** What else is wrong: a mark that opens it. New mistakes are shown at once; those that somebody closed stay closed. */
  function note(event) {
    if (noteMark) noteMark.remove();
    noteMark = null;
    if (overlay && overlay.isNote) dismiss();
    if (!event.diagnostics.length) return sessionStorage.removeItem(closedKey);
    const isWrong = event.diagnostics.some((one) => one.severity === "error");
    const button = element("button", counted(event), isWrong ? "note wrong" : "note");
    const open = () => {
      show(event);
      overlay.isNote = true;
    };
    button.onclick = open;
    noteMark = host(button);
    noteMark.style.cssText = "all: initial; position: fixed; left: 0; bottom: 0; z-index: 2147483646";
    const told = JSON.stringify(event.diagnostics.map((one) => [one.file, one.message]));
    noteMark.close = () => sessionStorage.setItem(closedKey, told);
    if (isWrong && sessionStorage.getItem(closedKey) !== told) open();
  }

  function close() {
    if (overlay && overlay.isNote && noteMark) noteMark.close();
    dismiss();
  }

  function show(event) {
    dismiss();
    const back = element("div", "", "back");
    const box = element("div", "", "box");
    box.setAttribute("role", "alertdialog");
    box.setAttribute("aria-label", "Mistakes in the site");
    box.tabIndex = -1;
    const head = element("h1");
    const button = element("button", "Close (Esc)");
    button.onclick = close;
    head.append(element("span", title(event)), button);
    box.append(head, ...event.diagnostics.map(showOne));
    if (event.more) box.append(element("p", `${event.more} more are shown in the terminal.`, "foot"));
    box.append(element("p", foot(event), "foot"));
    back.append(box);
    back.onclick = (click) => { if (click.target === back) close(); };
    overlay = host(back);
    for (const wrong of box.querySelectorAll(".code b")) {
      const code = wrong.closest(".code");
      if (wrong.offsetLeft > code.offsetLeft + code.clientWidth - 80) code.scrollLeft = wrong.offsetLeft - code.offsetLeft - 80;
    }
    box.focus({ preventScroll: true });
  }

  addEventListener("keydown", (event) => { if (event.key === "Escape" && overlay) { event.stopPropagation(); close(); } }, true);

  function connect() {
    const events = new EventSource("/live-reload?page=" + encodeURIComponent(location.pathname) + "&seen=" + data.kiln);
    events.onmessage = (message) => {
      const event = JSON.parse(message.data);
      if (event.type === "full") { events.close(); reload(); }
      if (event.type === "css") swapStyles();
      if (event.type === "error") show(event);
      if (event.type === "notes") note(event);
    };
    events.onerror = () => { events.close(); setTimeout(connect, 500); };
    addEventListener("pagehide", () => events.close(), { once: true });
  }

  if (data.mark) {
    const text = data.mark === "draft" ? "Draft: not published" : "Future: not published yet";
    const badge = host(element("div", text, "mark"));
    badge.style.cssText = "all: initial; position: fixed; right: 0; bottom: 0; z-index: 2147483646; pointer-events: none";
  }
  addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
  connect();
})();
