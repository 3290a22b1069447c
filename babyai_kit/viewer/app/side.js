// Several agents on the same task and seed, stepped together.
"use strict";
{
  const tables = new Map();  // of the runs, as promises
  let ui = null;
  let shown = null;  // {ofs, views, names, differs}
  let common = [];
  const further = new Set();  // runs whose agents somebody wants to see beside those on screen
  let turns = 0;  // of drawing the choice: the latest counts
  const address = kit.stepInAddress();

  const tableOf = (run) => {
    if (!tables.has(run)) tables.set(run, kit.source.run(run));
    tables.get(run).catch(() => tables.delete(run));
    return tables.get(run);
  };
  const split = (of) => [of.slice(0, of.indexOf("/")), of.slice(of.indexOf("/") + 1)];
  const last = () => Math.max(...shown.views.map(({ steps }) => steps.length));

  kit.page("side", { title: () => (shown ? title() : "Side by side"), show, changed, leave, keys: {} });

  const title = () => {
    const { task, seed, repeat } = shown.views[0];
    return `${task}, seed ${seed}${repeat ? `, repeat ${repeat + 1}` : ""}, side by side`;
  };

  async function show(main, { params }) {
    const ofs = [...new Set(params.getAll("of"))];
    if (!ofs.length || ofs.some((of) => !of.includes("/"))) throw new Error("This address names no episodes; choose one in the grid of a run, and others beside it");
    const views = await Promise.all(ofs.map((of) => kit.source.episode(...split(of))));
    if (kit.address().params.getAll("of").join() !== params.getAll("of").join()) return;
    const place = ({ task, distractors, seed, repeat }) => [task, distractors, seed, repeat].join("/");
    if (views.some((view) => place(view) !== place(views[0]))) throw new Error("These episodes are of different tasks or seeds; choose others in the grid of a run");
    if (!ui || !ui.root.isConnected) {
      ui = build();
      main.replaceChildren(ui.root);
    }
    load(ofs, views);
    document.title = `${title()} · BabyAI viewer`;
    document.querySelector("#trail [aria-current]").textContent = title();
    ui.stepper.pause();
    ui.stepper.set((Number(params.get("step")) || 1) - 1);
    draw(ui.stepper.now, true);
    await agents();
  }

  function leave() {
    address.stop();
    ui?.stepper.pause();
    ui = shown = null;
    common = [];
    further.clear();
    tables.clear();
  }

  async function changed(run) {
    tables.delete(run);
    if (!shown || !shown.views.some((view) => view.run === run && view.outcome === "unfinished")) return;
    const { ofs } = shown;
    const views = await Promise.all(ofs.map((of) => kit.source.episode(...split(of)))).catch(() => null);
    if (!views || shown?.ofs !== ofs) return;
    const following = ui.stepper.now === last();
    load(ofs, views);
    ui.stepper.set(following ? last() : ui.stepper.now);
    draw(ui.stepper.now, true);
  }

  function build() {
    const stepper = kit.stepper({ last, marked, show: draw });
    const button = (text, label, onclick) => kit.el("button", { type: "button", title: label, onclick }, text);
    const difference = button("First difference", "First difference (d)", () => stepper.go(shown.differs.action ?? 0));
    const seeds = kit.el("span", { class: "around" }), disagreements = kit.el("span", { class: "around" });
    const [mission, place, words] = ["h1", "p", "p"].map((tag) => kit.el(tag));
    kit.fill(place, { class: "about muted" }, []);
    kit.fill(words, { class: "words" }, []);
    const columns = kit.el("div", { class: "agents" });
    const lines = kit.el("div", { class: "lines" });
    const at = kit.el("output", { class: "at" });
    const list = kit.el("div", { class: "agent-list" });
    const chooser = kit.el("details", { class: "chooser" }, kit.el("summary", { class: "button" }, "Agents"), list);
    Object.assign(kit.pages.get("side").keys, stepper.keys, {
      d: ["first difference", () => stepper.go(shown.differs.action ?? 0)],
      "]": ["next seed on which they disagree", () => move(1, true)],
      "[": ["previous seed on which they disagree", () => move(-1, true)],
      j: ["next seed", () => move(1, false)],
      k: ["previous seed", () => move(-1, false)],
    });
    const root = kit.el("div", { class: "abreast" },
      kit.el("header", { class: "head" }, kit.el("div", { class: "what" }, mission, place), kit.el("div", { class: "how" }, seeds, disagreements, chooser), words),
      columns, kit.el("div", { class: "foot" }, kit.el("div", { class: "controls" }, stepper.element, difference, at), lines));
    return { root, stepper, mission, place, words, columns, lines, at, seeds, disagreements, chooser, list, difference, parts: [] };
  }

  function marked() {
    const all = new Set(shown.differs.action === null ? [] : [shown.differs.action]);
    for (const view of shown.views) for (const i of kit.markedSteps(view)) all.add(i);
    return [...all].sort((a, b) => a - b);
  }

  function load(ofs, views) {
    const runs = new Set(views.map(({ run }) => run)), models = new Set(views.map(({ model }) => model));
    const names = views.map(({ agent, model, run, history }, i) => {
      const parts = [agent, models.size > 1 && model, runs.size > 1 && run].filter(Boolean);
      const twin = views.some((other, j) => i !== j && other.agent === agent && other.model === model && other.run === run);
      return parts.join(", ") + (twin ? `, history of ${history}` : "");
    });
    const differs = kit.differences(views);
    const same = shown && shown.ofs.length === ofs.length;
    shown = { ofs, views, names, differs };
    const { mission, task, seed, repeat, distractors, note } = views[0];
    ui.mission.textContent = mission || title();
    ui.place.textContent = [`${task}, seed ${seed}`, repeat ? `repeat ${repeat + 1}` : null, distractors ? kit.plural(distractors, "distractor") : null, note].filter(Boolean).join(" · ");
    ui.words.textContent = kit.differenceText(views, names, differs);
    ui.difference.disabled = views.length < 2 || differs.action === null;
    if (!same || !ui.parts.length) columns(views.length);
    reserve(ui.seeds, "seed");
    if (ofs.length > 1) reserve(ui.disagreements, "disagreement");
    ui.parts.forEach((part, i) => part.load(views[i], names[i], ofs[i]));
  }

  // What is known later has its place from the start, so that nothing moves when it comes.
  function reserve(element, what) {
    if (element.children.length) return;
    const texts = [["‹", "button"], [`${what} 10 of 10`, ""], ["›", "button"]];
    element.append(...texts.map(([text, name]) => kit.el("span", { class: `${name} waiting`, "aria-hidden": "true" }, text)));
  }

  function columns(count) {
    const go = (moment) => ui.stepper.go(moment);
    ui.parts = Array.from({ length: count }, () => column(go));
    ui.columns.style.setProperty("--count", count);
    ui.columns.replaceChildren(...ui.parts.map(({ element }) => element));
    ui.lines.replaceChildren(...ui.parts.map(({ line }) => line));
  }

  function column(go) {
    const level = kit.board("level"), moves = kit.moves({ go }), timeline = kit.timeline({ go, compact: true });
    const head = kit.el("header"), now = kit.el("p", { class: "now" }), name = kit.el("span", { class: "name" });
    const panels = [["observation", "Observation"], ["thought", "Thought"], ["answer", "Answer as it came"]].map(([key, title]) => kit.panel(`beside ${key}`, title));
    const element = kit.el("section", { class: "column" }, head, kit.el("div", { class: "pair" }, level.element, moves.element), now,
      kit.el("div", { class: "texts" }, panels.map((panel) => panel.element)));
    let view = null;
    return {
      element,
      line: kit.el("div", { class: "line" }, name, timeline.element),
      load(fresh, title, of) {
        view = fresh;
        const { action } = shown.differs;
        element.setAttribute("aria-label", title);
        timeline.element.setAttribute("aria-label", `Step of ${title}`);
        moves.element.setAttribute("aria-label", `Actions of ${title}`);
        name.textContent = name.title = title;
        const [run, id] = split(of);
        const others = shown.ofs.filter((other) => other !== of);
        head.replaceChildren(kit.el("h2", {}, kit.el("a", { href: kit.link("episode", { run, id }), title: "The episode by itself" }, title)), kit.outcomeBadge(view),
          kit.el("span", { class: "muted length" }, kit.plural(view.steps.length, "step") + (view.shortest ? `, shortest ${view.shortest}` : "")),
          ...(others.length ? [kit.el("a", { class: "button out", href: kit.link("side", { of: others }), "aria-label": `Without ${title}`, title: `Without ${title}` }, "×")] : []));
        moves.show(view, action);
        timeline.show(view, { moments: last() + 1, metric: kit.metrics(view)[0], differs: action });
        panels[1].element.hidden = !shown.views.some(({ steps }) => steps.some(({ thinking }) => thinking));
        if (view.notReplayed) level.say(`The level can't be shown: ${view.notReplayed}`);
      },
      at(moment) {
        const here = Math.min(moment, view.steps.length), step = view.steps[here];
        moves.at(here);
        timeline.at(here);
        if (view.world) {
          const state = kit.world.at(view.world, here);
          level.show(state, kit.world.describe(state), { path: kit.world.path(view.world, here) });
        }
        const facts = step ? [kit.el("b", {}, step.action), " ", ...kit.markSigns(kit.marks(view, here, shown.differs.action)), kit.el("span", { class: "muted" }, `${kit.number(step.outputTokens)} tokens out, ${kit.seconds(step.seconds)}`)]
          : [kit.el("b", {}, view.outcomeText)];
        now.replaceChildren(...facts);
        panels[0].show(() => kit.text(step ? step.observation : view.lastObservation, "empty"));
        panels[1].show(() => kit.text(step?.thinking));
        panels[2].show(() => kit.text(step?.answer, step ? "no answer" : "none"));
      },
    };
  }

  function draw(moment, quiet) {
    for (const part of ui.parts) part.at(moment);
    const { action, state } = shown.differs;
    ui.at.textContent = moment >= last() ? `End, after ${kit.plural(last(), "step")}` : `Step ${moment + 1} of ${last()}`;
    ui.root.classList.toggle("apart", state !== null && moment >= state);
    address.set("side", { of: shown.ofs, step: moment + 1 });
    if (quiet) return;
    const words = shown.views.map((view, i) => `${shown.names[i]}: ${view.steps[moment]?.action ?? view.outcome}`);
    kit.say(`Step ${moment + 1}${moment === action ? ", the first difference" : ""}. ${words.join("; ")}`);
  }

  // The choice of agents, and the seeds that those chosen have in common.
  async function agents() {
    const { ofs } = shown;
    const turn = ++turns;
    const loaded = new Map();
    for (const run of new Set([...ofs.map((of) => split(of)[0]), ...further])) loaded.set(run, await tableOf(run));
    const runs = (await kit.source.runs()).map(({ run }) => run);
    if (turn !== turns || shown?.ofs !== ofs) return;
    const chosen = ofs.map((of) => {
      const [run, id] = split(of);
      const table = loaded.get(run), i = table.episodes.id.indexOf(id);
      return { run, table, agent: table.episodes.agent[i], model: table.episodes.model[i] };
    });
    common = kit.commonEpisodes(chosen);
    around(ui.seeds, common, "seed", ["k", "j"], false);
    around(ui.disagreements, common.filter(({ disagree }) => disagree), "disagreement", ["[", "]"], true);
    ui.list.replaceChildren(...kit.agentList({ tables: loaded, of: shown.views[0], chosen: ofs, runs, choose, add }));
  }

  const here = () => {
    const { task, distractors, seed, repeat } = shown.views[0];
    return common.findIndex(({ key }) => key === [task, distractors, seed, repeat].join("/"));
  };

  // The episodes in common before or after this one, all or those on which the agents disagree; round and round.
  function target(direction, disagree) {
    const place = here(), size = common.length;
    for (let n = 1; n < size; n++) {
      const to = common[(((place + direction * n) % size) + size) % size];
      if (!disagree || to.disagree) return to;
    }
    return null;
  }
  const linkTo = ({ ids }) => kit.link("side", { of: ids.map((id, i) => `${split(shown.ofs[i])[0]}/${id}`), step: 1 });

  function move(direction, disagree) {
    const to = target(direction, disagree);
    if (to) location.hash = linkTo(to);
    else kit.say(disagree ? "There is no other seed on which they disagree" : "There is no other seed");
  }

  function around(element, list, what, [back, forth], disagree) {
    if (shown.ofs.length < 2 && disagree) return void element.replaceChildren();
    const place = list.indexOf(common[here()]);
    const step = (direction, text, key) => {
      const to = target(direction, disagree);
      return kit.el(to ? "a" : "span", { class: "button", href: to && linkTo(to), "aria-disabled": to ? null : "true", "aria-label": `${direction > 0 ? "Next" : "Previous"} ${what}`, title: `${direction > 0 ? "Next" : "Previous"} ${disagree ? "seed on which they disagree" : what} (${key})` }, text);
    };
    const count = list.length === 0 ? `no ${what}` : place < 0 ? kit.plural(list.length, what) : `${what} ${kit.number(place + 1)} of ${kit.number(list.length)}`;
    element.replaceChildren(step(-1, "‹", back), kit.el("span", {}, count), step(1, "›", forth));
  }

  // Somebody wants to see the agents of another run, too, whichever are on screen by the time they are known.
  async function add(run) {
    further.add(run);
    try {
      await agents();
    } catch (error) {
      further.delete(run);
      ui.list.append(kit.error(error));
    }
  }

  function choose(of, wanted) {
    const ofs = wanted ? [...shown.ofs, of] : shown.ofs.filter((other) => other !== of);
    location.hash = kit.link("side", { of: ofs, step: ui.stepper.now + 1 });
  }
}
