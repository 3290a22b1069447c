// The overview: every run with its agents, how far it is and what it has shown; two agents can be chosen to compare.
"use strict";
{
  const { el, svg } = kit;
  const COLUMNS = [
    ["agent", "Agent"], ["model", "Model"], ["success", "Success, 95% interval"], ["episodes", "Episodes"], ["return", "Return"],
    ["steps", "Steps"], ["invalid", "Invalid"], ["tokens", "Tokens in / out, each"], ["cost", "Cost, each"], ["errors", "Errors"],
  ];
  let parts = null;        // elements of the page on screen
  let runs = [];
  const bodies = new Map();  // run -> {text, element}: only what changed is drawn again

  kit.page("overview", {
    title: () => "",
    async show(main) {
      if (!kit.same) build(main);
      runs = await kit.source.runs();
      if (parts) update(kit.address());  // it may have changed while the runs were fetched
    },
    async changed() {
      runs = await kit.source.runs();
      if (parts) update(kit.address());
    },
    leave() { parts = null; bodies.clear(); },
    keys: {
      "/": ["find a run", () => parts.find.focus()],
      "c": ["compare the two chosen agents", () => parts.compare.click()],
    },
  });

  function build(main) {
    const find = el("input", {
      type: "search", placeholder: "run, agent, model, task", "aria-label": "Find runs by name, agent, model or task",
      oninput: () => set({ find: find.value }), onkeydown: (event) => { if (event.key === "Escape") find.blur(); },
    });
    const order = el("select", { onchange: () => set({ order: order.value }) },
      [["", "newest first"], ["name", "by name"]].map(([value, label]) => el("option", { value }, label)));
    const count = el("span", { class: "muted", role: "status" });
    const head = el("tr", {}, el("td", { class: "pick" }), COLUMNS.map(([name, label]) => el("th", { scope: "col", class: name }, label)));
    const table = el("table", { class: "runs" }, el("caption", { class: "unseen" }, "Runs and their agents"), el("thead", {}, head));
    const compare = el("a", { class: "go" });
    const chosen = el("div", { class: "chosen", role: "region", "aria-label": "Chosen to compare" });
    const empty = el("div", { class: "empty" });
    parts = { find, order, count, table, compare, chosen, empty };
    main.append(
      el("div", { class: "row" }, el("h1", {}, "Runs"), count, el("span", { class: "gap" }),
        kit.source.play && el("a", { href: kit.link("play") }, "Play yourself"), find, el("label", {}, "Order ", order)),
      empty, table, chosen,
    );
  }

  function set(values, replace = true) {
    const { params } = kit.address();
    for (const [name, value] of Object.entries(values)) {
      params.delete(name);
      for (const one of [value].flat()) if (one) params.append(name, one);
    }
    kit.go("overview", params, { replace });
  }

  // A chosen agent in the address: run, agent and model.
  const token = (run, row) => JSON.stringify([run.run, row.agent, row.model]);

  function update({ params }) {
    const sought = (params.get("find") || "").toLowerCase();
    if (document.activeElement !== parts.find) parts.find.value = params.get("find") || "";
    parts.order.value = params.get("order") || "";
    const text = (run) => [run.run, run.agents, run.models, run.tasks, run.notes, run.damaged].flat().join("\n").toLowerCase();
    const found = runs.filter((run) => text(run).includes(sought));
    found.sort((a, b) => (params.get("order") === "name" ? 0 : String(b.created ?? "").localeCompare(String(a.created ?? ""))) || a.run.localeCompare(b.run));
    parts.count.textContent = found.length === runs.length ? kit.plural(runs.length, "run") : `${kit.number(found.length)} of ${kit.plural(runs.length, "run")}`;
    parts.table.hidden = !found.length;
    parts.find.disabled = parts.order.disabled = !runs.length;
    parts.empty.replaceChildren(...(runs.length ? (found.length ? [] : [nothing()]) : [noRuns()]));

    const chosen = params.getAll("with");
    const focused = document.activeElement?.dataset?.key;
    for (const body of [...parts.table.tBodies]) if (!found.some((run) => bodies.get(run.run)?.element === body)) body.remove();
    let last = parts.table.tHead;
    for (const run of found) {
      const element = body(run);
      if (last.nextSibling !== element) last.after(element);
      last = element;
    }
    for (const box of parts.table.querySelectorAll("input")) box.checked = chosen.includes(box.dataset.key);
    if (focused && document.activeElement?.dataset?.key !== focused) {
      [...parts.table.querySelectorAll("[data-key]")].find((one) => one.dataset.key === focused)?.focus({ preventScroll: true });
    }
    drawChosen(chosen);
  }

  function body(run) {
    const text = JSON.stringify(run);
    if (bodies.get(run.run)?.text !== text) {
      const old = bodies.get(run.run)?.element;
      const element = el("tbody", {}, head(run), (run.agentRows ?? []).map((row, place, rows) => agent(run, row, rows.findIndex((one) => token(run, one) === token(run, row)) === place)));
      if (old?.isConnected) old.replaceWith(element);
      bodies.set(run.run, { text, element });
    }
    return bodies.get(run.run).element;
  }

  function head(run) {
    const done = run.planned ? (run.finished + run.errors) / run.planned : 0;
    const bar = el("progress", { max: 1, value: done, "aria-label": `${run.run}: share of the planned episodes that have ended` });
    const ended = `${kit.number(run.finished)} of ${kit.plural(run.planned, "episode")}`;
    const whole = run.finished !== null && run.finished === run.planned;
    const notes = (run.notes ?? []).map((note) => el("span", { class: "badge note" }, note));
    const state = run.running ? el("span", { class: "badge running" }, "running") : !whole && el("span", { class: "badge" }, "incomplete");
    const time = el("time", { class: "muted", datetime: run.created, title: run.updated ? `last written ${kit.time(run.updated)}` : null },
      run.created ? kit.time(run.created) : "");
    return el("tr", { class: "run" },
      el("th", { scope: "rowgroup", colspan: 2 }, el("a", { href: kit.link("run", { run: run.run }), "data-key": "run " + run.run }, run.run)),
      run.damaged === null
        ? [el("td", { colspan: 2, class: "progress" }, !whole && bar, !whole && " ", ended, " ", state),
           el("td", { colspan: COLUMNS.length - 3 }, el("div", { class: "row" }, el("span", { class: "muted" }, (run.tasks ?? []).join(", ")), notes, el("span", { class: "gap" }), run.cost !== null && el("span", { title: "cost of the run" }, kit.dollars(run.cost)), time))]
        : el("td", { colspan: COLUMNS.length - 1, class: "damaged" }, el("span", { class: "badge damaged" }, "damaged"), " ", run.damaged),
    );
  }

  // `first`: an agent with several numbers of distractors has a row for each, and is chosen in its first.
  function agent(run, row, first) {
    const key = token(run, row);
    const name = `${row.agent}, ${row.model}, of ${run.run}`;
    const several = row.distractors !== null && row.distractors !== undefined;
    const box = el("input", { type: "checkbox", "data-key": key, "aria-label": `Compare ${name}`, onchange: () => choose(key, box.checked) });
    const episodes = kit.link("run", { run: run.run, agent: row.agent, model: row.model, distractors: several ? row.distractors : null });
    const cell = (column, label, ...children) => el("td", { class: column, "data-label": label }, children);
    return el("tr", { class: "entry" },
      el("td", { class: "pick" }, first && box),
      el("th", { scope: "row", class: "agent" }, el("a", { href: episodes, "data-key": `agent ${key} ${row.distractors}` }, row.agent), several && el("span", { class: "muted" }, ` ${kit.plural(row.distractors, "distractor")}`)),
      el("td", { class: "model" }, row.model),
      cell("success", "Success", kit.successBar(row), el("b", {}, kit.percent(row.success)), " ", el("span", { class: "muted" }, kit.interval(row.low, row.high))),
      cell("episodes", "Episodes", kit.number(row.finished)),
      cell("return", "Return", kit.number(row.episodeReturn, 2)),
      cell("steps", "Steps", kit.number(row.steps, 1)),
      cell("invalid", "Invalid", kit.percent(row.invalid, 1)),
      cell("tokens", "Tokens per episode, in / out", kit.short(row.inputTokens), " / ", kit.short(row.outputTokens)),
      cell("cost", "Cost per episode", kit.dollars(row.cost)),
      cell(row.errors ? "errors some" : "errors", "Errors", kit.number(row.errors)),
    );
  }

  // A bar from 0 to 100%, whiskers at the ends of the interval.
  kit.successBar = ({ success, low, high }) => {
    if (success === null || success === undefined) return null;
    const x = (share) => 1 + 98 * share;
    const whisker = low === null || low === undefined ? [] : [
      svg("path", { class: "whisker", d: `M${x(low)} 7H${x(high)}M${x(low)} 4V10M${x(high)} 4V10`, "vector-effect": "non-scaling-stroke" })];
    return svg("svg", { class: "interval", viewBox: "0 0 100 14", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", x: 1, y: 2, width: 98, height: 10 }),
      svg("rect", { class: "value", x: 1, y: 2, width: 98 * success, height: 10 }), whisker);
  };

  function choose(key, on) {
    const chosen = kit.address().params.getAll("with").filter((one) => one !== key);
    set({ with: on ? [...chosen, key].slice(-2) : chosen });
  }

  function drawChosen(chosen) {
    const [a, b] = chosen.map((key) => { try { return JSON.parse(key); } catch { return ["", "", ""]; } });
    parts.chosen.hidden = !chosen.length;
    parts.table.classList.toggle("choosing", chosen.length > 0);
    if (!a) return parts.compare.removeAttribute("href");
    const label = ([run, agent, model]) => el("span", { class: "one" }, el("b", {}, agent), ` ${model} · ${run}`);
    parts.compare.textContent = b ? "Compare" : "Choose a second agent to compare";
    if (b) {
      parts.compare.href = kit.link("compare", {
        a: a[0], "a.agent": a[1], "a.model": a[2], b: b[0], "b.agent": b[1], "b.model": b[2] });
    } else parts.compare.removeAttribute("href");
    const kept = document.activeElement === parts.compare;
    parts.chosen.replaceChildren(label(a), ...(b ? [" with ", label(b)] : []), " ", parts.compare,
      el("button", { type: "button", onclick: () => set({ with: [] }) }, "Clear"));
    if (kept) parts.compare.focus();
  }

  const nothing = () => el("p", {}, "No run matches. ", el("button", { type: "button", onclick: () => { parts.find.value = ""; set({ find: "" }); } }, "Show all"));
  const noRuns = () => el("div", {},
    el("p", {}, "There is no run here yet. This plays one, without any key or model, and it appears here while it is played:"),
    el("pre", {}, "python -m babyai_kit run first --variants baseline,history --tasks goto,pickup --seeds 200:220"),
    el("p", {}, "Runs in another folder: ", el("code", {}, "python -m babyai_kit view --results FOLDER")));
}
