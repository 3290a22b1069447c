// The grid of a run: every episode as a cell. Canvases draw only what is in sight, so that 10,000 cells scroll.
// For the keyboard and screen readers each block is a grid with one live cell, the one with the focus.
"use strict";
{
  const { el } = kit;
  const NARROW = 12, WIDE = 20;   // px of a cell that can be read
  const HEAD = 18;                // px of the seeds above a block
  const REPEAT_GAP = 3;
  const EDGE = 2;                 // px left and right of the cells, for the mark of the focus

  // `open(i)`: an episode was chosen. The element lives as long as its page.
  kit.grid = ({ open }) => {
    const tip = el("div", { class: "tip", "aria-hidden": "true", hidden: true });
    const blocks = el("div", { class: "blocks" });
    const root = el("div", { class: "grid" }, blocks, tip);
    let table, mask, layout, plots = [];
    let current = -1;               // the episode with the focus
    let geometry = null;
    let whole = false;

    const resize = new ResizeObserver(() => { if (layout) build(); });
    resize.observe(root);
    const redraw = () => plots.forEach(draw);
    addEventListener("themechange", redraw);
    blocks.addEventListener("scroll", () => { hideTip(); redraw(); }, { passive: true });

    function update(newTable, newMask, isWhole) {
      const focused = blocks.contains(document.activeElement);
      const key = table && current >= 0 ? keyOf(table, current) : null;
      [table, mask, whole] = [newTable, newMask, isWhole];
      layout = kit.layout(table, mask);
      if (key !== null && keyOf(table, current) !== key) current = [...mask.keys()].find((i) => keyOf(table, i) === key) ?? -1;
      if (!layout.places.has(current)) current = layout.places.keys().next().value ?? -1;
      build();
      if (focused && current >= 0) plots[layout.places.get(current)[0]].box.focus({ preventScroll: true });
    }

    function measure() {
      const columns = layout.columns;
      const longest = Math.max(4, ...layout.blocks.flatMap(({ rows }) => rows.map(({ text }) => text.length)));
      const width = root.clientWidth;
      const labels = Math.min(Math.ceil(longest * 7) + 12, width < 600 ? 110 : 220);
      const repeats = layout.has.repeat;
      const gaps = repeats ? REPEAT_GAP * new Set(columns.map(({ seed }) => seed)).size : 0;
      const fit = (width - labels - gaps - 2 * EDGE) / Math.max(1, columns.length);
      const cell = Math.min(WIDE, whole && fit < NARROW ? Math.max(0.5, fit) : Math.max(NARROW, Math.floor(fit)));
      const left = [];
      let x = EDGE;
      columns.forEach(({ seed }, place) => {
        if (repeats && place && columns[place - 1].seed !== seed) x += REPEAT_GAP;
        left.push(x);
        x += cell;
      });
      return { labels, cell, height: Math.max(16, cell), left, total: x + EDGE, width, sight: Math.max(60, width - labels) };
    }

    function build() {
      geometry = measure();
      const { labels, total, height, sight } = geometry;
      while (plots.length > layout.blocks.length) plots.pop().section.remove();
      layout.blocks.forEach((block, place) => {
        if (!plots[place]) {
          plots[place] = make(place);
          blocks.append(plots[place].section);
        }
        const plot = plots[place];
        const name = table.names.agents[block.agent], model = table.names.models[block.model];
        const facts = (table.summary.agentRows ?? []).filter((row) => row.agent === name && row.model === model);
        plot.heading.replaceChildren(el("span", { class: "who" }, el("b", {}, name), " ", el("span", { class: "muted" }, model)), ...facts.map(rate));
        plot.heading.style.maxWidth = geometry.width + "px";
        plot.box.setAttribute("aria-label", `${name}, ${model}: episodes by task and seed`);
        plot.box.setAttribute("aria-rowcount", block.rows.length);
        plot.box.setAttribute("aria-colcount", layout.columns.length);
        plot.section.style.width = labels + total + "px";
        plot.names.style.width = labels + "px";
        plot.names.replaceChildren(...block.rows.map(({ text, words }) => el("div", { style: { height: height + "px", lineHeight: height + "px" }, title: words }, text)));
        plot.canvas.style.left = labels + "px";
        plot.size = [Math.min(sight, total), HEAD + block.rows.length * height];
        plot.plot.style.height = plot.size[1] + "px";
        tell(plot, place);
        draw(plot, place);
      });
    }

    const rate = (facts) => el("span", { class: "rate" },
      facts.distractors !== null && facts.distractors !== undefined && el("span", { class: "muted" }, `+${facts.distractors} `),
      kit.successBar(facts), el("b", {}, kit.percent(facts.success)), " ",
      el("span", { class: "muted" }, [kit.interval(facts.low, facts.high), `${kit.number(facts.finished)} finished`, facts.errors && kit.plural(facts.errors, "error")].filter(Boolean).join(" · ")));

    function make(place) {
      const heading = el("h2", { class: "block" });
      const names = el("div", { class: "rows" });
      const canvas = el("canvas", {});
      const plot = el("div", { class: "plot", "aria-hidden": "true" }, names, canvas);
      const row = el("div", { role: "row", class: "unseen" });
      const box = el("div", { role: "grid", tabIndex: 0, class: "box", onkeydown: (event) => press(event),
        onfocus: () => { take(place); move(current, false); }, onblur: () => { hideTip(); draw(plots[place], place); } }, row, plot);
      canvas.onpointermove = (event) => hover(place, event);
      canvas.onpointerleave = hideTip;
      canvas.onclick = (event) => {
        const i = hit(place, event);
        if (i >= 0 && mask[i]) { current = i; box.focus({ preventScroll: true }); open(i); }
      };
      const section = el("section", { class: "plots" }, heading, box);
      const plotted = { section, heading, box, row, names, canvas, plot, size: [0, 0], seen: false };
      sight.observe(section);
      return plotted;
    }

    // Canvases far from the screen are empty: a run of 200 agents has 200.
    const sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const place = plots.findIndex(({ section }) => section === target);
        if (place < 0) continue;
        plots[place].seen = isIntersecting;
        draw(plots[place], place);
      }
    }, { rootMargin: "400px" });

    function draw(plot, place) {
      if (!plot.seen) { plot.canvas.width = 0; return; }
      const { cell, height, left } = geometry;
      const [width, tall] = plot.size;
      const context = kit.cells.prepare(plot.canvas, width, tall);
      const from = Math.max(0, Math.min(blocks.scrollLeft, geometry.total - width));
      const { columns } = layout;
      const { rows, cells } = layout.blocks[place];
      const gap = cell >= 5 ? 1 : 0;
      const first = Math.max(0, lowest(left, from) - 1), last = lowest(left, from + width);
      seedsAbove(context, first, last, from);
      for (let row = 0; row < rows.length; row++) {
        const y = HEAD + row * height;
        for (let column = first; column < last; column++) {
          const i = cells[row * columns.length + column];
          if (i < 0) continue;
          const x = left[column] - from;
          if (mask[i]) kit.cells.draw(context, kit.cells.kind(table, i), kit.cells.strength(table, i), x, y, cell - gap, height - 1);
          else {
            context.fillStyle = kit.cells.colour("--line");
            context.fillRect(x + cell / 2 - 1, y + height / 2 - 1, Math.min(2, cell), 2);
          }
        }
      }
      const held = layout.places.get(current);
      if (held && held[0] === place && document.activeElement === plot.box) {
        const x = left[held[2]] - from, y = HEAD + held[1] * height;
        for (const [colour, thick] of [["--panel", 4], ["--accent", 2]]) {
          context.strokeStyle = kit.cells.colour(colour);
          context.lineWidth = thick;
          context.strokeRect(x - 1, y - 1, Math.max(3, cell - gap) + 2, height + 1);
        }
      }
    }

    // Labels of seeds as close as they can be read.
    function seedsAbove(context, first, last, from) {
      const { columns } = layout;
      context.font = "11px system-ui, sans-serif";
      context.fillStyle = kit.cells.colour("--muted");
      context.textBaseline = "alphabetic";
      let free = -Infinity;
      for (let column = first; column < last; column++) {
        const { seed } = columns[column];
        if (column && columns[column - 1].seed === seed) continue;
        const x = geometry.left[column] - from;
        const text = String(seed);
        const regular = geometry.cell >= 26 || seed % (geometry.cell * 5 > text.length * 7 + 8 ? 5 : 10) === 0 || column === 0;
        if (!regular || x < free) continue;
        context.fillText(text, x, HEAD - 5);
        free = x + context.measureText(text).width + 8;
      }
    }

    const lowest = (list, value) => {
      let low = 0, high = list.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (list[middle] < value) low = middle + 1;
        else high = middle;
      }
      return low;
    };

    function hit(place, event) {
      const { left, cell, height, total } = geometry;
      const plot = plots[place];
      const bounds = plot.canvas.getBoundingClientRect();
      const x = event.clientX - bounds.left + Math.max(0, Math.min(blocks.scrollLeft, total - plot.size[0]));
      const row = Math.floor((event.clientY - bounds.top - HEAD) / height);
      const column = lowest(left, x + 0.001) - 1;
      if (column < 0 || x > left[column] + cell || row < 0 || row >= layout.blocks[place].rows.length) return -1;
      return layout.blocks[place].cells[row * layout.columns.length + column];
    }

    function hover(place, event) {
      const i = hit(place, event);
      plots[place].canvas.style.cursor = i >= 0 && mask[i] && table.episodes.id[i] !== null ? "pointer" : "default";
      if (i >= 0 && mask[i]) showTip(i, event.clientX + 14, event.clientY + 16);
      else hideTip();
    }

    function showTip(i, x, y) {
      tip.replaceChildren(...kit.cellFacts(table, i).map(([label, value]) => el("div", {}, el("span", { class: "muted" }, label), " ", value)));
      tip.hidden = false;
      const { width, height } = tip.getBoundingClientRect();
      tip.style.left = Math.max(4, Math.min(x, document.documentElement.clientWidth - width - 8)) + "px";
      tip.style.top = (y + height > innerHeight - 4 ? Math.max(4, y - height - 30) : y) + "px";
    }

    function hideTip() { tip.hidden = true; }

    // The focus came to a block: to the cell it had, or the block's first.
    function take(place) {
      if (layout.places.get(current)?.[0] === place) return;
      current = layout.blocks[place].cells.find((i) => i >= 0 && mask[i]) ?? current;
    }

    function press(event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); open(current); return; }
      if (event.key === "Escape") { hideTip(); return; }
      if (event.ctrlKey || event.metaKey || event.altKey || !/^(Arrow|Home|End|Page)/.test(event.key)) return;
      event.preventDefault();
      move(kit.layout.next(layout, mask, current, event.key), true);
    }

    function move(i, tipToo) {
      const before = layout.places.get(current)?.[0];
      current = i;
      if (!layout.places.has(i)) return;
      const [place, row, column] = layout.places.get(i);
      const { left, cell, height, sight: width } = geometry;
      if (left[column] < blocks.scrollLeft) blocks.scrollLeft = left[column] - cell;
      else if (left[column] + cell > blocks.scrollLeft + width) blocks.scrollLeft = left[column] + 2 * cell - width;
      const plot = plots[place];
      tell(plot, place);
      if (document.activeElement !== plot.box) plot.box.focus({ preventScroll: true });
      if (before !== undefined && before !== place) draw(plots[before], before);
      draw(plot, place);
      if (!tipToo) return;
      const bounds = plot.plot.getBoundingClientRect();
      const y = bounds.top + HEAD + row * height;
      if (y < 40) scrollBy(0, y - 80);
      else if (y + height > innerHeight - 20) scrollBy(0, y + height - innerHeight + 60);
      const canvas = plot.canvas.getBoundingClientRect();
      showTip(i, canvas.left + left[column] - blocks.scrollLeft + cell + 6, canvas.top + HEAD + row * height + height + 6);
    }

    // The one cell that a screen reader finds in a block. Its id changes, so that it is read again.
    function tell(plot, place) {
      const held = layout.places.get(current)?.[0] === place ? current : layout.blocks[place].cells.find((i) => i >= 0 && mask[i]);
      if (held === undefined) return;
      const [, row, column] = layout.places.get(held);
      const id = `cell-${place}-${row}-${column}`;
      plot.row.setAttribute("aria-rowindex", row + 1);
      plot.row.replaceChildren(
        el("div", { role: "rowheader" }, layout.blocks[place].rows[row].words),
        el("div", { role: "gridcell", id, "aria-colindex": column + 1 }, kit.cellSentence(table, held)));
      plot.box.setAttribute("aria-activedescendant", id);
    }

    return {
      element: root,
      update,
      focus: () => plots[layout.places.get(current)?.[0] ?? 0]?.box.focus(),
      get place() { return { current, left: blocks.scrollLeft }; },
      set place(place) { current = place.current; update(table, mask, whole); blocks.scrollLeft = place.left; },
      leave() { resize.disconnect(); sight.disconnect(); removeEventListener("themechange", redraw); },
    };
  };

  const keyOf = ({ names, episodes }, i) => [names.agents[episodes.agent[i]], names.models[episodes.model[i]], names.tasks[episodes.task[i]],
    episodes.distractors[i], episodes.seed[i], episodes.repeat[i], episodes.history[i]].join("\n");
  kit.keyOf = keyOf;
}
