// The table of a run: the same episodes as the grid, a row each. Only the rows in sight exist.
"use strict";
{
  const { el } = kit;
  const ROW = 24;     // px, as in style.css
  const BEYOND = 12;  // rows kept above and below what is in sight

  // [name, heading, value to sort by, cell, right-aligned, shown only if it differs within the run]
  const COLUMNS = [
    ["agent", "Agent", ({ names, episodes }, i) => names.agents[episodes.agent[i]]],
    ["model", "Model", ({ names, episodes }, i) => names.models[episodes.model[i]]],
    ["task", "Task", ({ episodes }, i) => episodes.task[i], ({ names, episodes }, i) => names.tasks[episodes.task[i]]],
    ["distractors", "Distractors", ({ episodes }, i) => episodes.distractors[i], null, true, true],
    ["history", "History", ({ episodes }, i) => episodes.history[i], null, true, true],
    ["seed", "Seed", ({ episodes }, i) => episodes.seed[i], (table, i) => String(table.episodes.seed[i]), true],
    ["repeat", "Repeat", ({ episodes }, i) => episodes.repeat[i], ({ episodes }, i) => String(episodes.repeat[i] + 1), true, true],
    ["outcome", "Outcome", ({ episodes }, i) => episodes.outcome[i] * 100 + episodes.failure[i],
      (table, i) => [kit.cells.swatch(kit.cells.kind(table, i), kit.cells.strength(table, i)), " ", kit.cells.label(table, i).replace(/^failure: /, "")]],
    ["length", "Steps", ({ names, episodes }, i) => (names.outcomes[episodes.outcome[i]] === "planned" ? null : episodes.length[i]), null, true],
    ["shortest", "Shortest", ({ episodes }, i) => episodes.shortest[i], null, true],
    ["times", "Steps / shortest", ({ episodes }, i) => (episodes.shortest[i] && episodes.length[i] ? episodes.length[i] / episodes.shortest[i] : null),
      (table, i, value) => (value === null ? kit.number(null) : kit.number(value, 1) + "×"), true],
    ["invalid", "Invalid", ({ episodes }, i) => (episodes.id[i] === null ? null : episodes.invalid[i]), null, true],
    ["return", "Return", ({ episodes }, i) => episodes.episodeReturn[i], (table, i, value) => kit.number(value, 2), true],
    ["in", "Tokens in", ({ episodes }, i) => episodes.inputTokens[i], null, true],
    ["out", "Tokens out", ({ episodes }, i) => episodes.outputTokens[i], null, true],
    ["cost", "Cost", ({ episodes }, i) => episodes.cost[i], (table, i, value) => kit.dollars(value), true],
    ["seconds", "Time", ({ episodes }, i) => episodes.seconds[i], (table, i, value) => kit.seconds(value), true],
    ["error", "Error", ({ episodes }, i) => episodes.error[i], (table, i, value) => value ?? ""],
  ];
  const differs = (column) => column.some((value) => value !== column[0]);

  // `open(i)`, `link(i)`: to an episode; `sort(name)`: a heading was pressed.
  kit.table = ({ open, link, sort }) => {
    const head = el("tr", { "aria-rowindex": 1 });
    const space = () => el("tr", { class: "space", role: "presentation", hidden: true }, el("td", { role: "presentation" }));
    const above = space(), below = space();
    const body = el("tbody", {}, above, below);
    const group = el("colgroup");
    const made = new Map();  // episode -> its row, while it is in sight
    const grid = el("table", { class: "episodes", role: "grid", tabIndex: 0, "aria-label": "Episodes", onkeydown: (event) => press(event),
      onfocus: () => { if (current < 0 || !rank.has(current)) current = order[topRow()] ?? -1; draw(); }, onblur: () => draw() }, group, el("thead", {}, head), body);
    const scroller = el("div", { class: "scroller" }, grid);
    let table = null, order = [], rank = new Map(), columns = COLUMNS, order_by = "";
    let current = -1;
    scroller.addEventListener("scroll", () => draw(), { passive: true });
    const resize = new ResizeObserver(() => draw());
    resize.observe(scroller);

    const topRow = () => Math.max(0, Math.floor(scroller.scrollTop / ROW));
    const height = () => Math.max(ROW, scroller.clientHeight - head.offsetHeight);

    function update(newTable, mask, sortBy) {
      const old = { table, anchor: rank.has(current) && visible(rank.get(current)) ? current : order[topRow()] };
      const offset = table && old.anchor !== undefined && scroller.scrollTop > 0 ? rank.get(old.anchor) * ROW - scroller.scrollTop : null;
      const same = (i) => (table === null || i === undefined || i < 0 ? -1 : kit.keyOf(newTable, i) === kit.keyOf(table, i) ? i
        : newTable.episodes.id.findIndex((id, at) => kit.keyOf(newTable, at) === kit.keyOf(table, i)));
      const anchor = same(old.anchor);
      current = same(current);
      const resorted = sortBy !== order_by;
      table = newTable;
      order_by = sortBy;
      columns = COLUMNS.filter(([name, , , , , varying]) => !varying || differs(table.episodes[name]))
        .filter(([name]) => name !== "error" || table.episodes.error.some(Boolean));
      order = sorted(table, mask, sortBy);
      rank = new Map(order.map((i, place) => [i, place]));
      heads(sortBy);
      widths();
      for (const element of made.values()) element.remove();
      made.clear();
      grid.setAttribute("aria-rowcount", order.length + 1);
      grid.setAttribute("aria-colcount", columns.length);
      draw();
      if (resorted) scroller.scrollTop = 0;
      else if (offset !== null && rank.has(anchor)) scroller.scrollTop = rank.get(anchor) * ROW - offset;
      draw();
    }

    function heads(sortBy) {
      const [down, by] = sortBy.startsWith("-") ? [true, sortBy.slice(1)] : [false, sortBy];
      const focused = document.activeElement?.dataset?.sort;
      head.replaceChildren(...columns.map(([name, label, , , right]) => {
        const button = el("button", { type: "button", "data-sort": name, onclick: () => sort(by === name ? (down ? "" : "-" + name) : name) },
          label, el("span", { "aria-hidden": "true", class: "arrow" }, by === name ? (down ? "▼" : "▲") : ""));
        return el("th", { scope: "col", class: right && "right", "aria-sort": by === name ? (down ? "descending" : "ascending") : "none" }, button);
      }));
      if (focused) head.querySelector(`[data-sort="${focused}"]`)?.focus({ preventScroll: true });
    }

    const visible = (place) => place * ROW >= scroller.scrollTop - ROW && place * ROW <= scroller.scrollTop + height();

    function draw() {
      if (table === null) return;
      const first = Math.max(0, topRow() - BEYOND);
      const last = Math.min(order.length, topRow() + Math.ceil(height() / ROW) + BEYOND);
      const wanted = order.slice(first, last);
      const inSight = new Set(wanted);
      for (const [i, element] of made) if (!inSight.has(i)) { element.remove(); made.delete(i); }
      let before = above;
      wanted.forEach((i, n) => {
        if (!made.has(i)) made.set(i, row(i));
        const element = made.get(i);
        element.setAttribute("aria-rowindex", first + n + 2);
        element.classList.toggle("current", i === current);
        if (before.nextSibling !== element) before.after(element);
        before = element;
      });
      above.firstChild.style.height = first * ROW + "px";
      below.firstChild.style.height = (order.length - last) * ROW + "px";
      above.hidden = first === 0;
      below.hidden = last === order.length;
      if (inSight.has(current)) grid.setAttribute("aria-activedescendant", "episode-" + current);
      else grid.removeAttribute("aria-activedescendant");
    }

    // Widths that hold for all rows, so that columns stay where they are while others come into sight.
    function widths() {
      const texts = { agent: table.names.agents, model: table.names.models, task: table.names.tasks, error: ["x".repeat(40)],
        outcome: ["   failure, not yet classified", ...table.names.failures.map(({ label }) => "   " + label)] };
      const pixels = columns.map(([name, label]) => Math.min(280, 24 + 7.2 * Math.max(label.length, 4, ...(texts[name] ?? []).map((text) => text.length))));
      group.replaceChildren(...pixels.map((width) => el("col", { style: { width: width + "px" } })));
      grid.style.minWidth = pixels.reduce((sum, width) => sum + width) + "px";
    }

    function row(i) {
      const cells = columns.map(([name, , value, cell, right], column) => {
        const what = value(table, i);
        const content = cell ? cell(table, i, what) : typeof what === "number" || what === null ? kit.number(what) : what;
        const text = column === 0 && table.episodes.id[i] !== null ? el("a", { href: link(i), tabIndex: -1 }, content) : content;
        return el("td", { class: [right && "right", name === "error" && "error"].filter(Boolean).join(" ") || null }, text);
      });
      return el("tr", { id: "episode-" + i, onclick: (event) => {
        if (event.target.closest("a") || String(getSelection())) return;
        current = i;
        open(i);
      } }, cells);
    }

    function press(event) {
      if (event.target !== grid || event.ctrlKey || event.metaKey || event.altKey || !order.length) return;
      const page = Math.max(1, Math.floor(height() / ROW) - 1);
      const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
      if (event.key === "Enter") { event.preventDefault(); open(current); return; }
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") { event.preventDefault(); scroller.scrollLeft += event.key === "ArrowLeft" ? -80 : 80; return; }
      if (!(event.key in steps)) return;
      event.preventDefault();
      const place = Math.max(0, Math.min(order.length - 1, (rank.get(current) ?? -1) + steps[event.key]));
      current = order[place];
      if (place * ROW < scroller.scrollTop) scroller.scrollTop = place * ROW;
      else if ((place + 1) * ROW > scroller.scrollTop + height()) scroller.scrollTop = (place + 1) * ROW - height();
      draw();
    }

    return {
      element: scroller,
      update,
      focus: () => grid.focus({ preventScroll: true }),
      get place() { return { current, top: scroller.scrollTop }; },
      set place(place) { current = place.current; draw(); scroller.scrollTop = place.top; draw(); },
      leave() { resize.disconnect(); },
    };
  };

  function sorted(table, mask, sortBy) {
    const order = [...mask.keys()].filter((i) => mask[i]);
    const [sign, by] = sortBy.startsWith("-") ? [-1, sortBy.slice(1)] : [1, sortBy];
    const column = COLUMNS.find(([name]) => name === by);
    if (!column) return order;
    const keys = new Map(order.map((i) => [i, column[2](table, i) ?? null]));
    // What isn't known comes last, either way.
    return order.sort((a, b) => {
      const [x, y] = [keys.get(a), keys.get(b)];
      if (x === null || y === null) return (x === null) - (y === null) || a - b;
      return sign * (x < y ? -1 : x > y ? 1 : 0) || a - b;
    });
  }
}
