// Two agents on the same seeds: the paired difference, how their outcomes cross, and where they disagree.
"use strict";
{
  const { el, svg } = kit;
  const MAX_ROWS = 300;  // before all are asked for
  let parts = null;

  kit.page("compare", {
    title: () => "Compare",
    async show(main, { params }) {
      const [a, b] = sides(params);
      if (!kit.same || !parts) {
        parts = { heads: el("div", { class: "rivals" }), result: el("div", {}), };
        main.replaceChildren(el("h1", {}, "Compare two agents"), parts.heads, parts.result);
      }
      await load(a, b);
    },
    async changed(run) {
      const [a, b] = sides(kit.address().params);
      if (parts && (run === a.run || run === b.run)) await load(a, b);
    },
    leave() { parts = null; },
    keys: {
      "s": ["switch the two", () => parts?.heads.querySelector(".swap")?.click()],
      "n": ["to the first seed on which they disagree", () => parts?.result.querySelector(".disagree a")?.click()],
    },
  });

  const sides = (params) => ["a", "b"].map((name) => ({ run: params.get(name), agent: params.get(name + ".agent"), model: params.get(name + ".model") }));
  const token = ({ run, agent, model }) => JSON.stringify([run, agent, model]);
  const label = ({ run, agent, model }) => `${agent} · ${model} · ${run}`;
  const go = (a, b, more = {}) => kit.go("compare", {
    a: a.run, "a.agent": a.agent, "a.model": a.model, b: b.run, "b.agent": b.agent, "b.model": b.model, ...more }, { replace: true });

  async function load(a, b) {
    const runs = await kit.source.runs();
    const rows = runs.flatMap((run) => (run.agentRows ?? []).map((row) => ({ ...row, run: run.run })));
    const all = [...new Map(rows.map((row) => [token(row), row])).values()];  // an agent once, however many distractors
    if (!parts) return;
    drawHeads(a, b, all, rows);
    if ([a, b].some(({ run, agent, model }) => run === null || agent === null || model === null)) {
      parts.result.replaceChildren(el("p", { class: "muted" }, "Choose two agents."));
      return;
    }
    if (token(a) === token(b)) {
      parts.result.replaceChildren(el("p", { class: "muted" }, "These are the same agent; choose another on one side."));
      return;
    }
    try {
      const comparison = await kit.source.compare(a, b);
      if (!parts) return;
      draw(comparison, a, b);
    } catch (error) {
      parts?.result.replaceChildren(kit.error(error));
    }
  }

  function drawHeads(a, b, all, rows) {
    const focused = document.activeElement?.dataset?.side;
    const choose = (name, own, other) => {
      const select = el("select", { "data-side": name, "aria-label": name === "a" ? "First agent" : "Second agent", onchange: () => {
        const [run, agent, model] = JSON.parse(select.value);
        if (name === "a") go({ run, agent, model }, b);
        else go(a, { run, agent, model });
      } });
      const known = all.some((row) => token(row) === token(own));
      if (!known) select.append(el("option", { value: token(own), selected: true }, own.run === null ? "choose" : label(own)));
      for (const run of new Set(all.map((row) => row.run))) {
        select.append(el("optgroup", { label: run }, all.filter((row) => row.run === run)
          .map((row) => el("option", { value: token(row), selected: token(row) === token(own) }, `${row.agent} · ${row.model}`))));
      }
      const same = rows.filter((row) => token(row) === token(own));
      const facts = same.length === 1 ? same[0] : null;
      return el("div", { class: "rival" }, el("b", { class: "letter" }, name.toUpperCase()), select, facts && el("span", { class: "rate" },
        kit.successBar(facts), el("b", {}, kit.percent(facts.success)), " ", el("span", { class: "muted" }, kit.interval(facts.low, facts.high)),
        el("span", { class: "muted" }, ` · ${kit.number(facts.finished)} finished`)), own.run !== null && el("a", { href: kit.link("run", { run: own.run, agent: own.agent, model: own.model }) }, own.run));
    };
    parts.heads.replaceChildren(choose("a", a, b), el("button", { type: "button", class: "swap", onclick: () => go(b, a) }, "Switch A and B"), choose("b", b, a));
    if (focused) parts.heads.querySelector(`[data-side="${focused}"]`)?.focus();
  }

  function draw(comparison, a, b) {
    const { rows, text, difference, low, high, seeds, pValue } = comparison;
    const both = rows.filter((row) => [row.a, row.b].every(({ outcome }) => outcome === "success" || outcome === "failure"));
    const kinds = { ab: [], a: [], b: [], none: [] };
    for (const row of both) kinds[row.a.outcome === "success" ? (row.b.outcome === "success" ? "ab" : "a") : row.b.outcome === "success" ? "b" : "none"].push(row);
    const scroll = parts.result.querySelector(".scroll")?.scrollTop ?? 0;
    const focused = document.activeElement?.dataset?.pair;
    parts.result.replaceChildren(...[
      el("p", { class: "verdict" }, text),
      difference !== null && drawn(difference, low, high),
      el("p", { class: "muted" }, [kit.plural(seeds, "shared seed"), pValue === null || pValue === undefined ? null : `p ${pValue < 0.001 ? "< 0.001" : "= " + kit.number(pValue, 3)}`, kit.plural(rows.length - both.length, "pair") + " without two finished episodes"].filter(Boolean).join(" · ")),
      el("div", { class: "crossing" }, cross(kinds), disagree(kinds, a, b)),
    ].filter(Boolean));
    const list = parts.result.querySelector(".scroll");
    if (list) list.scrollTop = scroll;
    if (focused) [...parts.result.querySelectorAll("[data-pair]")].find((one) => one.dataset.pair === focused)?.focus({ preventScroll: true });
  }

  // An axis from -100 to +100 points with the difference B - A and its interval.
  function drawn(difference, low, high) {
    const x = (share) => 300 + 280 * share;
    const known = low !== null && high !== null;
    const points = (share) => `${share > 0 ? "+" : ""}${kit.number(100 * share)}`;
    const ticks = [-1, -0.5, 0, 0.5, 1];
    const name = `Difference in success, B minus A: ${points(difference)} percentage points${known ? `, 95% interval ${points(low)} to ${points(high)}` : ""}`;
    return el("figure", { class: "difference" }, svg("svg", { viewBox: "0 0 600 62", role: "img", "aria-label": name },
      svg("text", { x: 20, y: 11, class: "end" }, "A succeeds more"), svg("text", { x: 580, y: 11, class: "end", "text-anchor": "end" }, "B succeeds more"),
      svg("path", { class: "axis", d: `M20 40H580${ticks.map((tick) => `M${x(tick)} 37V43`).join("")}` }),
      svg("path", { class: "zero", d: "M300 16V43" }),
      ticks.map((tick) => svg("text", { x: x(tick), y: 56, "text-anchor": "middle" }, points(tick))),
      known ? svg("path", { class: "whisker", d: `M${x(low)} 26H${x(high)}M${x(low)} 20V32M${x(high)} 20V32` }) : [],
      svg("circle", { class: "value", cx: x(difference), cy: 26, r: 5 })));
  }

  function cross(kinds) {
    const cell = (rows, strong) => el("td", { class: strong ? "strong" : null }, kit.number(rows.length));
    const row = (title, cells) => el("tr", {}, el("th", { scope: "row" }, title), cells);
    return el("table", { class: "cross" }, el("caption", {}, "Pairs that both finished"),
      el("thead", {}, el("tr", {}, el("td"), el("th", { scope: "col" }, "B succeeds"), el("th", { scope: "col" }, "B fails"))),
      el("tbody", {}, row("A succeeds", [cell(kinds.ab), cell(kinds.a, true)]), row("A fails", [cell(kinds.b, true), cell(kinds.none)])));
  }

  function disagree(kinds, a, b) {
    const rows = [...kinds.a, ...kinds.b].sort((x, y) => x.task.localeCompare(y.task) || x.seed - y.seed || x.repeat - y.repeat);
    const repeats = rows.some(({ repeat }) => repeat > 0), distractors = rows.some((row) => row.distractors);
    const side = (row) => kit.link("side", { of: [`${a.run}/${row.a.id}`, `${b.run}/${row.b.id}`] });
    const cell = ({ outcome }) => el("td", {}, kit.cells.swatch(outcome), " ", outcome);
    const line = (row) => {
      const name = `${row.task}, seed ${row.seed}${row.distractors ? `, ${row.distractors} distractors` : ""}${repeats ? `, repeat ${row.repeat + 1}` : ""}`;
      return el("tr", {}, el("td", {}, row.task), distractors && el("td", { class: "right" }, kit.number(row.distractors)), el("td", { class: "right" }, String(row.seed)), repeats && el("td", { class: "right" }, String(row.repeat + 1)),
        cell(row.a), cell(row.b), el("td", {}, el("a", { href: side(row), "data-pair": name, "aria-label": `Side by side: ${name}` }, "side by side")));
    };
    const body = el("tbody", {}, rows.slice(0, MAX_ROWS).map(line));
    const more = rows.length > MAX_ROWS && el("button", { type: "button", onclick: () => { body.append(...rows.slice(MAX_ROWS).map(line)); more.remove(); } },
      `Show all ${kit.number(rows.length)}`);
    return el("section", { class: "disagree", "aria-label": "Where they disagree" },
      el("h2", {}, `Where they disagree: ${kit.plural(rows.length, "pair")}`),
      rows.length ? el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Task"), distractors && el("th", { scope: "col", class: "right" }, "Distractors"),
        el("th", { scope: "col", class: "right" }, "Seed"), repeats && el("th", { scope: "col", class: "right" }, "Repeat"), el("th", { scope: "col" }, "A"), el("th", { scope: "col" }, "B"), el("th", { scope: "col" }, el("span", { class: "unseen" }, "Link")))), body), more)
        : el("p", { class: "muted" }, "They agree on every pair that both finished."));
  }
}
