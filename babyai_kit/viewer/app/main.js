// The frame around the pages: which page the address names, keys, theme, and news of runs.
"use strict";
{
  const at = (id) => document.getElementById(id);
  const main = at("main");
  let shown = null;      // the address on screen
  let turn = 0;          // counts routes: a slow page must not replace the one asked for after it
  const places = new Map();  // how far the page was scrolled, by entry of the history
  const runs = new Map();    // run -> the address in which it was left, with its filters
  let entry = null;
  let entries = 0;

  // Is the page asked for the one on screen? Then it updates what is there.
  kit.same = false;

  kit.route = async () => {
    const address = kit.address();
    const page = kit.pages.get(address.page);
    const mine = ++turn;
    if (entry !== null) places.set(entry, scrollY);
    entry = history.state?.entry ?? ++entries + "/" + Date.now();
    history.replaceState({ entry }, "");
    const same = shown !== null && shown.page === address.page && !main.querySelector(":scope > .trouble");
    if (!same) {
      if (shown !== null) kit.pages.get(shown.page)?.leave?.();
      main.replaceChildren();
    }
    const first = shown === null;
    shown = address;
    trail(address, page);
    if (!page) {
      main.replaceChildren(kit.error("There is no such page; go back to the overview"), kit.el("p", {}, kit.el("a", { href: "#/" }, "Overview")));
      return;
    }
    try {
      kit.same = same;
      await page.show(main, address);
    } catch (error) {
      if (mine !== turn) return;
      main.replaceChildren(kit.error(error), kit.el("p", {}, kit.el("a", { href: "#/" }, "Overview")));
      if (!(error instanceof Error) || error.constructor !== Error) console.error(error);
    }
    if (mine !== turn || same) return;
    scrollTo(0, places.get(entry) ?? 0);
    if (!first) main.focus({ preventScroll: true });
  };

  function trail(address, page) {
    const title = page?.title(address) ?? "No such page";
    document.title = title === "" ? "BabyAI viewer" : `${title} · BabyAI viewer`;
    const run = address.params.get("run");
    if (run !== null && address.page === "run") runs.set(run, kit.link("run", address.params));
    at("trail").replaceChildren(
      ...(run !== null && address.page !== "run" ? [kit.el("a", { href: runs.get(run) ?? kit.link("run", { run }) }, run)] : []),
      kit.el("span", { "aria-current": "page" }, title),
    );
  }

  // Keys: the page's own come first. Where somebody types, all are left to the field.
  const KEYS = {
    "?": ["this list", () => help()],
    "g": ["to the overview", () => kit.go("overview")],
    "t": ["light or dark", () => theme(dark() ? "light" : "dark")],
  };
  const names = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc" };
  const typing = (target) => target.isContentEditable || ["INPUT", "SELECT", "TEXTAREA"].includes(target.tagName);

  function help() {
    const table = (keys) => kit.el("dl", { class: "keys" }, Object.entries(keys).map(([key, [label]]) =>
      [kit.el("dt", {}, kit.el("kbd", {}, names[key] || key)), kit.el("dd", {}, label)]));
    const own = kit.pages.get(shown.page)?.keys ?? {};
    at("keys-list").replaceChildren(table({ ...KEYS, ...own }));
    at("keys").showModal();
  }

  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || at("keys").open) return;
    if (typing(event.target) && event.target.type !== "checkbox") return;
    // A focused button or link keeps the keys that press it.
    if ([" ", "Enter"].includes(event.key) && event.target.closest("button, a, summary, [role=button]")) return;
    const action = kit.pages.get(shown?.page)?.keys?.[event.key] ?? KEYS[event.key];
    if (!action) return;
    event.preventDefault();
    action[1](event);
  });

  // Theme: the system's, unless one was chosen here.
  const memory = {
    get: () => { try { return localStorage.getItem("babyai-theme") || ""; } catch { return ""; } },
    set: (value) => { try { localStorage.setItem("babyai-theme", value); } catch { /* a browser that keeps nothing */ } },
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  const dark = () => (memory.chosen ?? "") === "dark" || (!memory.chosen && system.matches);

  function theme(value) {
    memory.chosen = value;
    memory.set(value);
    if (value) document.documentElement.dataset.theme = value;
    else delete document.documentElement.dataset.theme;
    at("theme").value = value;
    dispatchEvent(new Event("themechange"));  // canvases draw again
  }
  system.addEventListener("change", () => dispatchEvent(new Event("themechange")));

  theme(memory.get());
  at("theme").onchange = () => theme(at("theme").value);
  at("help").onclick = help;
  at("skip").onclick = () => main.focus();
  history.scrollRestoration = "manual";
  addEventListener("hashchange", kit.route);
  kit.source.watch((run) => kit.pages.get(shown?.page)?.changed?.(run));
  kit.route();
}
