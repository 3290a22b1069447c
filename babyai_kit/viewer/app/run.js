// The page of a run: grid, table or figures of the episodes that the filters in the address leave.
"use strict";
{
  const { el } = kit;
  const VIEWS = { grid: "Grid", table: "Table", figures: "Figures" };
  const places = new Map();   // run -> where its grid and table were left
  let parts = null;
  let state = null;           // {run, table, mask, found: {text, ids, whole, error}}

  kit.page("run", {
    title: ({ params }) => params.get("run") ?? "",
    async show(main, { params }) {
      const run = params.get("run");
      if (!run) throw new Error("The address names no run; choose one in the overview");
      const table = state?.run === run && kit.same ? state.table : await kit.source.run(run);
      if (!kit.same || state?.run !== run || !parts) {
        leave();
        main.replaceChildren();
        state = { run, table, found: null };
        build(main);
      }
      await update(kit.address().params);
    },
    async changed(run) {
      if (run !== state?.run || !parts) return;
      const table = await kit.source.run(run);
      if (state?.run !== run || table.version === state.table.version) return;
      state.table = table;
      if (state.found) state.found.stale = true;
      await update(kit.address().params);
    },
    leave,
    keys: {
      "/": ["search in observations and thoughts", () => { open(true); parts.facets.focus(); }],
      "1": ["grid", () => set({ view: "" })],
      "2": ["table", () => set({ view: "table" })],
      "3": ["figures", () => set({ view: "figures" })],
      "x": ["clear the filters", clear],
      "f": ["to the episodes", () => parts.view?.focus?.()],
      "↑ ↓ ← →": ["from cell to cell; Enter opens the episode", () => {}],
    },
  });

  function leave() {
    if (!parts) return;
    keepPlace();
    parts.view?.leave?.();
    parts.facets.leave();
    parts = null;
  }

  function keepPlace() {
    if (parts.view?.place) places.set(`${state.run}/${parts.name}`, parts.view.place);
  }

  function set(values) {
    const { params } = kit.address();
    for (const [name, value] of Object.entries(values)) {
      params.delete(name);
      for (const one of [value].flat()) if (one) params.append(name, one);
    }
    kit.go("run", params, { replace: true });
  }

  function clear() { set(Object.fromEntries(kit.filters.names.map((name) => [name, ""]))); }

  function build(main) {
    parts = { view: null, name: null };
    parts.facts = el("div", { class: "row run-head" });
    parts.tabs = el("nav", { class: "tabs", "aria-label": "Views of the run" });
    parts.count = el("span", { role: "status" });
    parts.chips = el("span", { class: "chips" });
    parts.tools = el("div", { class: "row tools" }, parts.count, parts.chips);
    parts.legend = el("div", { class: "legend" });
    parts.stage = el("div", { class: "stage" });
    parts.none = el("p", {}, "No episode matches. ", el("button", { type: "button", onclick: () => { clear(); parts.tabs.querySelector("a").focus(); } }, "Clear the filters"));
    parts.facets = kit.facets({ set });
    parts.toggle = el("button", { type: "button", class: "toggle", "aria-expanded": "false", "aria-controls": "filters", onclick: () => open(!parts.panel.classList.contains("open")) }, "Filters");
    parts.panel = el("aside", { id: "filters", class: "aside", "aria-label": "Filters" }, parts.facets.element);
    main.append(parts.facts, el("div", { class: "row nav" }, parts.tabs, parts.toggle, parts.tools),
      el("div", { class: "split" }, parts.panel, el("div", { class: "views" }, parts.legend, parts.none, parts.stage)));
  }

  function open(on) {
    parts.panel.classList.toggle("open", on);
    parts.toggle.setAttribute("aria-expanded", String(on));
  }

  // The text sought, looked up once for a text and again when the run has grown.
  async function search(params) {
    const text = (params.get("text") ?? "").trim();
    if (!text) { state.found = null; return; }
    if (state.found?.text === text && !state.found.stale) return;
    const found = { text, ids: state.found?.text === text ? state.found.ids : null };
    state.found = found;
    const mine = state;
    try {
      const { ids, whole } = await kit.source.search(mine.run, text);
      Object.assign(found, { ids: new Set(ids), whole, done: true });
    } catch (error) {
      Object.assign(found, { error: error.message, ids: null, done: true });
    }
    if (state === mine && state.found === found && parts) render(kit.address().params);
  }

  async function update(params) {
    const searching = search(params);
    await render(params);
    await searching;
  }

  function searchSays({ found }) {
    if (!found) return "";
    if (found.error) return found.error;
    if (!found.done) return "Searching…";
    return found.whole === false ? "Only the first matches are shown; seek a longer text for all." : "";
  }

  async function render(params) {
    const { table } = state;
    const filtered = kit.filters.apply(table, params, state.found?.ids ?? null);
    state.mask = filtered.mask;
    head(table, params, filtered);
    parts.facets.update(table, params, filtered.counts, searchSays(state));
    const name = params.get("view") in VIEWS ? params.get("view") : "grid";
    if (parts.name !== name) {
      if (parts.view) { keepPlace(); parts.view.leave?.(); }
      parts.name = name;
      parts.view = name === "grid" ? kit.grid({ open: openEpisode }) : name === "table" ? kit.table({ open: openEpisode, link: episode, sort: (sort) => set({ sort }) }) : kit.figures();
      parts.stage.replaceChildren(parts.view.element);
      parts.fresh = true;
    }
    const figures = name === "figures";
    parts.panel.hidden = parts.toggle.hidden = parts.tools.hidden = figures;
    parts.legend.hidden = name !== "grid";
    parts.none.hidden = figures || filtered.count > 0;
    parts.stage.hidden = !figures && !filtered.count;
    if (figures) {
      const view = parts.view, version = table.version;
      if (parts.drawn !== version || parts.fresh) {
        parts.drawn = version;
        parts.fresh = false;
        await view.update(state.run);
      }
      return;
    }
    if (name === "grid") {
      drawLegend(table, params);
      parts.view.update(table, state.mask, params.get("cells") === "all");
    } else parts.view.update(table, state.mask, params.get("sort") ?? "");
    const place = places.get(`${state.run}/${name}`);
    if (parts.fresh && place) parts.view.place = place;
    parts.fresh = false;
  }

  // With the filters: an episode's page goes on to the next of those that are shown here.
  const episode = (i) => {
    const { params } = kit.address();
    const filters = Object.fromEntries(kit.filters.names.map((name) => [name, params.getAll(name)]));
    return kit.link("episode", { run: state.run, id: state.table.episodes.id[i], ...filters });
  };

  function openEpisode(i) {
    if (i < 0) return;
    if (state.table.episodes.id[i] === null) kit.say("This episode has not begun");
    else location.hash = episode(i);
  }

  function head({ summary, plan, classified }, params, { count, mask }) {
    const ended = (summary.finished ?? 0) + (summary.errors ?? 0);
    const rows = summary.agentRows ?? [];
    const two = rows.length > 1 ? { a: state.run, "a.agent": rows[0].agent, "a.model": rows[0].model, b: state.run, "b.agent": rows[1].agent, "b.model": rows[1].model } : null;
    const details = parts.facts.querySelector("details")?.open ?? false;
    parts.facts.replaceChildren(...[
      el("h1", {}, state.run),
      summary.planned !== null && el("span", {}, summary.finished !== summary.planned && el("progress", { max: 1, value: summary.planned ? ended / summary.planned : 0, "aria-label": "Share of the planned episodes that have ended" }), ` ${kit.number(summary.finished)} of ${kit.plural(summary.planned, "episode")}`),
      summary.running && el("span", { class: "badge running" }, "running"),
      summary.errors > 0 && el("span", { class: "damaged" }, kit.plural(summary.errors, "error")),
      summary.cost !== null && el("span", {}, kit.dollars(summary.cost)),
      ...(summary.notes ?? []).map((note) => el("span", { class: "badge note" }, note)),
      classified < 1 && el("span", { class: "muted" }, `${kit.percent(classified)} of the failures classified`),
      two && el("a", { href: kit.link("compare", two) }, "Compare agents"),
      summary.damaged && el("p", { class: "trouble" }, summary.damaged),
      el("details", { class: "plan", open: details }, el("summary", {}, "Plan"), el("dl", {}, (plan ?? []).map(({ label, value }) => [el("dt", {}, label), el("dd", {}, value)]))),
    ].filter(Boolean));
    const shown = params.get("view") in VIEWS ? params.get("view") : "grid";
    const focused = document.activeElement?.dataset?.view;
    parts.tabs.replaceChildren(...Object.entries(VIEWS).map(([name, label]) => {
      const address = new URLSearchParams(params);
      address.delete("view");
      if (name !== "grid") address.set("view", name);
      return el("a", { href: kit.link("run", address), "data-view": name, "aria-current": name === shown ? "page" : null }, label);
    }));
    if (focused) parts.tabs.querySelector(`[data-view="${focused}"]`).focus();
    const text = count === mask.length ? kit.plural(count, "episode") : `${kit.number(count)} of ${kit.plural(mask.length, "episode")}`;
    if (parts.count.textContent !== text) parts.count.textContent = text;
    drawChips(params);
    parts.toggle.textContent = kit.filters.any(params) ? "Filters (on)" : "Filters";
  }

  // What is filtered, one by one, each with a way to drop it.
  function drawChips(params) {
    const labels = new Map(state.table.names.failures.map(({ name, label }) => [name, label]));
    const words = { min: "steps ≥", max: "steps ≤", invalid: "invalid ≥", seeds: "seeds", text: "text" };
    const chip = (name, value) => {
      const text = `${words[name] ?? name} ${name === "failure" ? labels.get(value) ?? "not yet classified" : name === "repeat" ? Number(value) + 1 : value}`;
      return el("button", { type: "button", class: "chip", "aria-label": `Drop the filter ${text}`, onclick: () => {
        set({ [name]: params.getAll(name).filter((one) => one !== value) });
        (parts.chips.querySelector("button") ?? parts.tabs.querySelector("a")).focus();
      } }, text, el("span", { "aria-hidden": "true" }, " ×"));
    };
    const chips = kit.filters.names.flatMap((name) => params.getAll(name).filter(Boolean).map((value) => chip(name, value)));
    const kept = parts.chips.contains(document.activeElement) ? [...parts.chips.children].indexOf(document.activeElement) : -1;
    parts.chips.replaceChildren(...chips, ...(chips.length ? [el("button", { type: "button", class: "chip clear", onclick: () => { clear(); parts.tabs.querySelector("a").focus(); } }, "Clear all")] : []));
    if (kept >= 0) parts.chips.children[Math.min(kept, parts.chips.children.length - 1)]?.focus();
  }

  function drawLegend(table, params) {
    const kinds = new Map();
    table.episodes.id.forEach((id, i) => { const kind = kit.cells.kind(table, i); if (!kinds.has(kind)) kinds.set(kind, i); });
    const text = [...kinds.keys()].sort().join();
    const whole = params.get("cells") === "all";
    if (parts.legend.dataset.text === text + whole) return;
    parts.legend.dataset.text = text + whole;
    const order = ["success", ...table.names.failures.map(({ name }) => name), "failure", "error", "unfinished", "planned"];
    const meaning = new Map(table.names.failures.map(({ name, text }) => [name, text]));
    const labels = new Map([...table.names.failures.map(({ name, label }) => [name, label]), ["failure", "failure, not yet classified"]]);
    const scale = el("span", { class: "scale" }, [1, 2, 4, 8].flatMap((times) => [kit.cells.swatch("success", 1 - Math.log2(times) / 3), `${times}×${times === 8 ? " or more" : ""}`]), " the shortest way");
    const all = el("input", { type: "checkbox", checked: whole, onchange: () => set({ cells: all.checked ? "all" : "" }) });
    parts.legend.replaceChildren(
      ...order.filter((kind) => kinds.has(kind)).map((kind) => el("span", { title: meaning.get(kind) ?? null }, kind === "success" ? ["success, ", scale] : [kit.cells.swatch(kind), labels.get(kind) ?? kind])),
      el("label", { title: "Cells narrower than 9 px carry no sign" }, all, " all seeds in sight"));
  }
}
